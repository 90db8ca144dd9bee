"""What a server overlooks in a prompt, or finds out only when a node fails.

execution.py of ComfyUI checks declared inputs alone, only of nodes that an output needs, and of
values only those of its four plain types and choices. All else it drops, or passes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from ._prompt import (
    TAKEN_FOR_A_LINK,
    as_link,
    is_link_to_servers,
    is_unsendable,
    name_node,
    title_of,
)
from ._server_findings import choices_of, list_choices, not_a_link
from ._unpublished_checks import TAKES_ANY_INPUT, names_file
from ._util import as_list, as_object, is_list, shorten
from ._validation_report import Finding, FindingKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._survey import Survey
    from ._util import JSONObject

SOCKETS: Final = frozenset(
    {
        *("AUDIO", "CLIP", "CLIP_VISION", "CLIP_VISION_OUTPUT", "CONDITIONING", "CONTROL_NET"),
        *("GLIGEN", "GUIDER", "HOOKS", "IMAGE", "LATENT", "LATENT_UPSCALE_MODEL", "LORA_MODEL"),
        *("MASK", "MESH", "MODEL", "MODEL_PATCH", "NOISE", "PHOTOMAKER", "SAMPLER", "SIGMAS"),
        *("STYLE_MODEL", "UPSCALE_MODEL", "VAE", "VIDEO", "VOXEL", "WAV2VEC", "AUDIO_ENCODER"),
        *("AUDIO_ENCODER_OUTPUT", "HOOK_KEYFRAMES", "TIMESTEPS_RANGE"),
    }
)
"""Types of core whose values are objects of Python's, which no JSON can be."""

_CHOOSER: Final = "COMFY_DYNAMICCOMBO_V3"
_OF_THE_CANVAS: Final = frozenset(
    {
        *("audioUI", "clear", "preview", "refresh"),
        *("upload", "upload 3d model", "upload extra resources"),
    }
)
"""Inputs that the canvas itself adds to its exports: its buttons, players and displays."""


@attrs.frozen
class Overlooked:
    """What is found.

    Args:
        errors: The server would refuse the prompt for these, whatever it says itself.
        warnings: It would not.
        explained: Ids of the nodes at which its check would raise because of `errors`.
    """

    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    explained: frozenset[str]


def look_over(survey: Survey) -> Overlooked:
    """Find what a server overlooks."""
    errors: list[Finding] = []
    warnings: list[Finding] = []
    explained: set[str] = set()
    for node_id in survey.prompt:
        look = _Look(survey, node_id)
        for finding in look.at_links():
            refused = look.is_judged(finding.input_name)
            if refused:
                explained.add(node_id)
            # The client itself sends some nowhere.
            fatal = refused or is_unsendable(
                survey.prompt, look.inputs.get(finding.input_name or "")
            )
            (errors if fatal else warnings).append(finding)
        if node_id in survey.needed:
            warnings += look.at_names()
            warnings += look.at_values()
        else:
            message = "no output needs it, so that it does not run"
            warnings.append(look.finding(FindingKind.UNUSED_NODE, message))
    return Overlooked(tuple(errors), tuple(warnings), frozenset(explained))


class _Look:
    """A look at one node."""

    def __init__(self, survey: Survey, node_id: str) -> None:
        self.survey = survey
        self.node_id = node_id
        self.node: JSONObject = survey.prompt[node_id]
        self.inputs: JSONObject = self.node["inputs"]
        self.declared = survey.declared.get(node_id)
        self.sections = as_object(as_object(survey.definition(node_id)).get("input"))
        expand = survey.rules.expand_dynamic
        self.choosers = tuple(_choosers(self.sections, self.inputs)) if expand else ()

    def finding(
        self,
        kind: FindingKind,
        message: str,
        name: str | None = None,
        *,
        suggestion: str | None = None,
        may_be_stale: bool = False,
    ) -> Finding:
        return Finding(
            kind,
            message,
            self.node_id,
            self.node["class_type"],
            title_of(self.node),
            name,
            suggestion,
            may_be_stale,
        )

    def is_judged(self, name: str | None) -> bool:
        """Whether a server looks at an input, and fails over it."""
        return (
            self.declared is not None
            and name in self.declared
            and self.node_id in self.survey.judged
        )

    def at_links(self) -> Iterator[Finding]:
        prompt = self.survey.prompt
        for name, value in self.inputs.items():
            if not is_list(value):
                wrapped = as_object(value).get("__value__")
                if is_link_to_servers(wrapped):
                    message = f"is the literal list {wrapped}, {TAKEN_FOR_A_LINK}"
                    yield self.finding(FindingKind.MALFORMED_LINK, message, name)
                continue
            link = as_link(value)
            if link is None:
                yield from self._at_list(name, value)
            elif link[0] not in prompt:
                yield self.finding(
                    FindingKind.DANGLING_LINK,
                    f"links to node {link[0]!r}, which does not exist",
                    name,
                    suggestion=self.survey.suggestions.nearest(link[0], prompt),
                )
            else:
                yield from self._at_slot(name, *link)

    def _at_list(self, name: str, value: list[object]) -> Iterator[Finding]:
        match value:
            case [int() as number, int() as slot] if str(number) in self.survey.prompt:
                message = f'a link names its node by a string: write ["{number}", {slot}]'
                yield self.finding(FindingKind.MALFORMED_LINK, message, name)
            # A list of another length in a declared input has the server's own error.
            case _ if self.declared is None or (
                name in self.declared and (len(value) == 2 or not self.is_judged(name))
            ):
                yield self.finding(FindingKind.MALFORMED_LINK, not_a_link(value), name)
            case _:
                pass

    def _at_slot(self, name: str, source: str, slot: int) -> Iterator[Finding]:
        definition = self.survey.definition(source)
        if definition is None or not is_list(definition.get("output")):
            return
        count = len(as_list(definition["output"]))
        if not -count <= slot < count:
            has = f"has only outputs 0 to {count - 1}" if count else "has no outputs"
            yield self.finding(
                FindingKind.SLOT_OUT_OF_RANGE,
                f"links to output {slot} of {name_node(source, self.survey.prompt[source])},"
                f" which {has}",
                name,
            )

    def at_names(self) -> Iterator[Finding]:
        """Inputs that the class does not declare."""
        if self.declared is None or self.node["class_type"] in TAKES_ANY_INPUT:
            return
        hidden = as_object(self.sections.get("hidden"))
        # What could not be unfolded says nothing of the inputs below it.
        unread = [name for name, keys, _ in self.choosers if self.inputs.get(name) not in keys]
        for name, value in self.inputs.items():
            if (
                name in self.declared
                or name in hidden
                or any(name == each or name.startswith(f"{each}.") for each in unread)
            ):
                continue
            left = [each for each in self.declared if each not in self.inputs]
            suggestion = self.survey.suggestions.nearest(name, left)
            link = as_link(value)
            if link is None:
                if not _is_of_the_canvas(name, value):
                    message = "its class declares no such input, so that a server drops the value"
                    yield self.finding(
                        FindingKind.UNDECLARED_INPUT, message, name, suggestion=suggestion
                    )
            elif link[0] in self.survey.prompt:
                source = name_node(link[0], self.survey.prompt[link[0]])
                message = (
                    f"its class declares no such input: {source} would run, and then this node"
                    " would fail, unless its class takes any inputs"
                )
                yield self.finding(
                    FindingKind.UNDECLARED_LINK, message, name, suggestion=suggestion
                )

    def at_values(self) -> Iterator[Finding]:
        if self.declared is None:
            return
        required = as_object(self.sections.get("required"))
        yield from self._at_choosers()
        for name, spec in self.declared.items():
            if name not in self.inputs or is_list(self.inputs[name]):
                continue
            value = self.inputs[name]
            if _is_socket(spec[0]):
                yield self._at_socket(name, spec[0], value, is_required=name in required)
            elif names_file(self.node["class_type"], name, spec):
                choices = choices_of(spec)
                if choices is not None and value not in choices:
                    yield self.finding(
                        FindingKind.UNLISTED_FILE,
                        f"{shorten(value)} is not among {list_choices(choices)}; the server looks"
                        " for the file when the job is sent",
                        name,
                        suggestion=self.survey.suggestions.nearest(value, choices),
                        may_be_stale=True,
                    )

    def _at_socket(self, name: str, kind: str, value: object, *, is_required: bool) -> Finding:
        if value is None and not is_required:
            message = "is null; an optional input without a value is left out"
            return self.finding(FindingKind.NULL_INPUT, message, name)
        message = (
            f"{shorten(value)} is no {kind}, which only another node can give; a server accepts"
            " it, and then the node fails"
        )
        return self.finding(FindingKind.LITERAL_FOR_SOCKET, message, name)

    def _at_choosers(self) -> Iterator[Finding]:
        for name, keys, is_required in self.choosers:
            if name not in self.inputs:
                if is_required:
                    message = (
                        f"is required, and missing: one of {list_choices(keys)}. A server accepts"
                        " that, and then the node fails"
                    )
                    yield self.finding(FindingKind.MISSING_CHOICE, message, name)
            elif (value := self.inputs[name]) not in keys:
                yield self.finding(
                    FindingKind.UNKNOWN_CHOICE,
                    f"{shorten(value)} is not among {list_choices(keys)}, so that a server drops"
                    " it and all that belongs to it",
                    name,
                    suggestion=self.survey.suggestions.nearest(value, keys),
                )


def _is_of_the_canvas(name: str, value: object) -> bool:
    return name in _OF_THE_CANVAS or (name == "image" and not value)  # the latter is its 3D view


def _is_socket(kind: object) -> bool:
    return isinstance(kind, str) and {part.strip() for part in kind.split(",")} <= SOCKETS


def _choosers(
    sections: JSONObject, inputs: JSONObject, prefix: str = ""
) -> Iterator[tuple[str, list[object], bool]]:
    """Yield the choices that bring further inputs: name, keys, and whether it is required.

    Recursion is as deep as the declaration nests.
    """
    for section in ("required", "optional"):
        for part, spec in as_object(sections.get(section)).items():
            match spec:
                case [kind, {"options": [*options]}, *_] if kind == _CHOOSER:
                    name = f"{prefix}{part}"
                    children = {
                        key: as_object(each.get("inputs"))
                        for each in map(as_object, as_list(options))
                        if isinstance(key := each.get("key"), str)
                    }
                    yield name, list(children), section == "required"
                    chosen = inputs.get(name)
                    if isinstance(chosen, str) and chosen in children:
                        yield from _choosers(children[chosen], inputs, f"{name}.")
                case _:
                    pass
