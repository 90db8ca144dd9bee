"""The library's logger: silent, until a program gives it a handler or configures logging."""

from __future__ import annotations

import logging

logger = logging.getLogger("comfy_trio")
# Without any handler, Python itself would print warnings to stderr.
logger.addHandler(logging.NullHandler())
