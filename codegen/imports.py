"""The imports of a generated module, gathered while the rest of it is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .layout import LINE_LENGTH, Bracket, lay_out, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ATTRS = "attrs"
COLLECTIONS = "collections.abc"
GRAPH = "comfy_trio.graph"
TYPING = "typing"
WIRE_TYPES = "comfy_trio.types"

_FIXED = {ATTRS, COLLECTIONS, GRAPH, TYPING}
"""Modules whose names nothing else in a generated module has: see the rules for names."""


@final
@attrs.define
class Imports:
    """What a module imports: for running, or just for its annotations.

    Args:
        taken: The names that the module defines.
    """

    taken: set[str] = attrs.field(factory=set[str])
    _local: dict[tuple[str, str], str] = attrs.field(factory=dict[tuple[str, str], str], init=False)
    _running: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]], init=False)

    def add(self, module: str, name: str, *, running: bool = False) -> str:
        """Import a name, and return what it is called here.

        Args:
            module: As it is written after ``from``.
            name: What to import.
            running: Whether the module needs it when it is imported.
        """
        key = (module, name)
        if running:
            self._running.add(key)
        local = self._local.get(key)
        if local is None:
            local = name
            while module not in _FIXED and local in self.taken:
                # No class, attribute or keyword begins so.
                local = f"_{local}_" if local == name else f"{local}_"
            self._local[key] = local
            self.taken.add(local)
        return local

    def source(self) -> str:
        """Return the statements, in the order in which ruff would sort them."""
        only_typing = self._local.keys() - self._running
        if only_typing:
            self.add(TYPING, "TYPE_CHECKING", running=True)
        groups = ["from __future__ import annotations", *self._groups(self._running, indent=0)]
        if only_typing:
            typed = "\n\n".join(self._groups(only_typing, indent=4))
            groups.append(f"if TYPE_CHECKING:\n{typed}")
        return "\n\n".join(groups)

    def _groups(self, keys: Iterable[tuple[str, str]], *, indent: int) -> list[str]:
        names: dict[str, list[tuple[str, str]]] = {}
        for module, name in keys:
            names.setdefault(module, []).append((name, self._local[module, name]))
        groups: dict[int, list[str]] = {}
        for module in sorted(names, key=_module_order):
            parts = [
                name if name == local else f"{name} as {local}"
                for name, local in sorted(names[module], key=lambda pair: name_order(pair[0]))
            ]
            statement = import_statement(module, parts, indent=indent)
            groups.setdefault(_module_order(module)[0], []).append(statement)
        return ["\n".join(statements) for statements in groups.values()]


def _module_order(module: str) -> tuple[int, str]:
    if module in {COLLECTIONS, TYPING}:
        return (0, module)
    # Of relative imports the farthest comes first.
    return (2, module.replace(".", "\0")) if module.startswith(".") else (1, module)


def name_order(name: str) -> tuple[int, str]:
    """Constants come first, then classes, then the rest."""
    if len(name) > 1 and name.isupper():
        return (0, name)
    return (1 if name[:1].isupper() else 2, name)


def import_statement(module: str, parts: Sequence[str], *, indent: int) -> str:
    """Return one statement, with its indentation.

    Args:
        module: As it is written after ``from``.
        parts: What is imported: ``name``, or ``name as other``.
        indent: The indentation.
    """
    start = f"{' ' * indent}from {module} import "
    line = start + ", ".join(parts)
    if width(line) <= LINE_LENGTH:
        return line
    return start + lay_out(Bracket("(", tuple(parts)), indent=indent, before=LINE_LENGTH)
