"""The generator for commands: what is not installed is an error that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._generator import find_generator
from ._supervise import CommandError

if TYPE_CHECKING:
    from types import ModuleType


def import_generator(module: str) -> ModuleType:
    """Import a module of the generator.

    Raises:
        CommandError: it is not installed.
    """
    try:
        return find_generator(module)
    except ModuleNotFoundError:  # itself, or what it needs
        raise CommandError(
            'the generator is not installed: run  pip install "comfy-trio[codegen]"'
        ) from None
