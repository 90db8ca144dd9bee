"""Where the code that writes code is: in an installed package, or beside it in its repository."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

INSTALLED, IN_CHECKOUT = "comfy_trio._codegen", "codegen"


def find_generator(module: str) -> ModuleType:
    """Import a module of the generator.

    Raises:
        ModuleNotFoundError: it is not there, or what it needs.
    """
    root = Path(__file__).parents[1]
    if importlib.util.find_spec(INSTALLED) is not None:
        return importlib.import_module(f"{INSTALLED}.{module}")
    # Another package may have that name, too.
    spec = importlib.util.find_spec(IN_CHECKOUT)
    if spec is not None and spec.origin == str(root / IN_CHECKOUT / "__init__.py"):
        return importlib.import_module(f"{IN_CHECKOUT}.{module}")
    raise ModuleNotFoundError(IN_CHECKOUT)
