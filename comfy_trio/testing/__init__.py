"""An embedded ComfyUI server, for first runs and for the tests of your own programs."""
