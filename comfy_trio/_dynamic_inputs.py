"""Inputs that appear and disappear with what a prompt gives: autogrow, dynamic combo and slot.

A node declares one input of such a type; a prompt then holds several, named with dots
(``"images.image0"``, ``"resize.width"``). Pure: declarations and a prompt's inputs in, the
effective declarations out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

InputSpec: TypeAlias = "list[Any]"
"""One input as `/object_info` declares it: ``[type]`` or ``[type, options]``."""


@attrs.frozen
class Declared:
    """The inputs of one node in one prompt.

    Args:
        required: Specifications by wire name.
        optional: Specifications by wire name.
        dynamic: Whether any of them comes from a dynamic input.
    """

    required: dict[str, InputSpec]
    optional: dict[str, InputSpec]
    dynamic: bool = False

    def __iter__(self) -> Iterator[tuple[str, InputSpec, bool]]:
        """Every input once, as ``(name, spec, whether it is required)``."""
        for name, spec in self.required.items():
            yield name, spec, True
        for name, spec in self.optional.items():
            if name not in self.required:
                yield name, spec, False


def declared_inputs(
    sections: Mapping[str, Mapping[str, InputSpec]], given: Mapping[str, Any], *, expand: bool
) -> Declared:
    """What a node may and must be given.

    Args:
        sections: The ``input`` of its `/object_info` entry.
        given: The node's inputs in the prompt; they decide how dynamic inputs unfold.
        expand: Whether to unfold dynamic inputs, or to take them as inputs of an unknown type.
    """
    plain = {key: sections[key] for key in ("required", "optional") if key in sections}
    if not expand:
        return Declared(dict(plain.get("required", {})), dict(plain.get("optional", {})))
    unfolding = _Unfolding(given)
    unfolding.add(plain, "")
    return Declared(unfolding.required, unfolding.optional, unfolding.dynamic)


class _Unfolding:
    """Collects the effective inputs. Recursion is as deep as the declaration nests, no deeper."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.required: dict[str, InputSpec] = {}
        self.optional: dict[str, InputSpec] = {}
        self.dynamic = False

    def add(self, sections: Mapping[str, Mapping[str, InputSpec]], prefix: str) -> None:
        for section, inputs in sections.items():
            for name, spec in inputs.items():
                self._add_input(section, f"{prefix}{name}", spec, nested=bool(prefix))

    def _add_input(self, section: str, name: str, spec: InputSpec, *, nested: bool) -> None:
        kind = spec[0]
        unfold = _UNFOLD.get(kind) if isinstance(kind, str) else None
        if unfold is not None:
            unfold(self, section, name, spec)
        else:
            self._declare(section, name, spec)
            self.dynamic = self.dynamic or nested

    def _declare(self, section: str, name: str, spec: InputSpec) -> None:
        (self.required if section == "required" else self.optional)[name] = spec

    def _unfold_autogrow(self, _section: str, name: str, spec: InputSpec) -> None:
        """One declared input stands for a row of alike ones; the first `min` are required."""
        template = spec[1]["template"]
        names = template.get("names")
        if names is None:
            names = [f"{template['prefix']}{number}" for number in range(template["max"])]
        section, item = next(
            (section, next(iter(inputs.values())))
            for section, inputs in template["input"].items()
            if inputs
        )
        self.dynamic = True
        for number, part in enumerate(names):
            is_required = section == "required" and number < template["min"]
            child = f"{name}.{part}"
            self._declare("required" if is_required else "optional", child, item)
            if child in self.given:
                self._add_input("required" if is_required else "optional", child, item, nested=True)

    def _unfold_combo(self, section: str, name: str, spec: InputSpec) -> None:
        """The chosen key brings its own inputs; with an unknown one the input is not looked at."""
        if name not in self.given:
            return
        chosen = next(
            (option for option in spec[1]["options"] if option["key"] == self.given[name]), None
        )
        if chosen is not None:
            self._unfold_present(section, name, spec, chosen["inputs"])

    def _unfold_slot(self, section: str, name: str, spec: InputSpec) -> None:
        """Whatever is connected brings further inputs."""
        if name in self.given:
            self._unfold_present(section, name, spec, spec[1]["inputs"])

    def _unfold_present(
        self,
        section: str,
        name: str,
        spec: InputSpec,
        children: Mapping[str, Mapping[str, InputSpec]],
    ) -> None:
        self.dynamic = True
        self.add(children, f"{name}.")
        self._declare(section, name, spec)


_UNFOLD: Final[dict[str, Callable[[_Unfolding, str, str, InputSpec], None]]] = {
    "COMFY_AUTOGROW_V3": _Unfolding._unfold_autogrow,
    "COMFY_DYNAMICCOMBO_V3": _Unfolding._unfold_combo,
    "COMFY_DYNAMICSLOT_V3": _Unfolding._unfold_slot,
}
