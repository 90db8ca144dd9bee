"""What the server's routes are asked and how their answers read, a module for each group of them.

Pure functions of values: `comfy_trio._namespaces` does the asking. The routes and bodies are those
of ComfyUI 0.3.40 and newer.
"""
