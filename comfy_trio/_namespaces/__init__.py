"""What a client offers of its server, a module for each group of routes: ``comfy.queue`` and so on.

Thin: what is asked, and how the answer reads, is in `comfy_trio._routes`.
"""
