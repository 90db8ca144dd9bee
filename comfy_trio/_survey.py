"""A prompt beside the definitions of its classes: which inputs its nodes have, and who needs whom.

Total: whatever the definitions hold, nothing raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._dynamic_inputs import declared_inputs
from ._prompt import links_of
from ._suggestions import Suggestions
from ._unpublished_checks import own_checks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ._dynamic_inputs import InputSpec
    from ._util import JSONObject
    from ._validation import CustomValidation, ValidationRules


@attrs.frozen
class Survey:
    """What can be said of a prompt's nodes before any of them is judged.

    Args:
        prompt: The prompt.
        definitions: What the server declares, by class.
        rules: The server's.
        unknown: Ids of the nodes whose class it does not declare.
        declared: By node id, the inputs that the node has with what it is given; without nodes
            whose declaration makes no sense.
        own_checks: What classes check themselves, by class.
        outputs: Ids of the output nodes.
        needed: Ids of the nodes that run for the sake of an output node. All of them where there
            is none, or where a class is unknown and may be one.
        judged: Ids of those that a server looks at: it follows only declared inputs.
        suggestions: For what is wrong.
    """

    prompt: JSONObject
    definitions: Mapping[str, JSONObject]
    rules: ValidationRules
    unknown: tuple[str, ...]
    declared: Mapping[str, Mapping[str, InputSpec]]
    own_checks: Mapping[str, CustomValidation]
    outputs: tuple[str, ...]
    needed: Collection[str]
    judged: Collection[str]
    suggestions: Suggestions = attrs.field(factory=Suggestions)

    def definition(self, node_id: str) -> JSONObject | None:
        """What the server declares of a node's class."""
        return self.definitions.get(self.prompt[node_id]["class_type"])

    def declared_links(self, node_id: str) -> Iterable[str]:
        """The nodes that a node's declared inputs link to."""
        declared = self.declared.get(node_id, {})
        return (
            source
            for name, source, _ in links_of(self.prompt[node_id])
            if name in declared and source in self.prompt
        )

    def downstream_of(self, node_ids: Iterable[str]) -> set[str]:
        """Return some nodes and all that need them by way of declared inputs."""
        users: dict[str, list[str]] = {}
        for user in self.prompt:
            for source in self.declared_links(user):
                users.setdefault(source, []).append(user)
        return _closure(node_ids, users)


def survey(
    prompt: JSONObject, definitions: Mapping[str, JSONObject], rules: ValidationRules
) -> Survey:
    """Look over a prompt.

    Args:
        prompt: In API format, of the right shape. Will not be changed.
        definitions: What the server declares, by class. May be odd.
        rules: The server's.
    """
    unknown = tuple(
        node_id for node_id, node in prompt.items() if node["class_type"] not in definitions
    )
    declared: dict[str, Mapping[str, InputSpec]] = {}
    checks: dict[str, CustomValidation] = {}
    for node_id, node in prompt.items():
        class_type = node["class_type"]
        if class_type not in definitions:
            continue
        inputs = _declared(definitions[class_type], node, rules)
        if inputs is None:
            continue
        declared[node_id] = inputs
        if (check := own_checks(class_type, inputs.items())) is not None:
            checks[class_type] = check
    outputs = tuple(
        node_id
        for node_id, node in prompt.items()
        if definitions.get(node["class_type"], {}).get("output_node") is True
    )
    found = Survey(prompt, definitions, rules, unknown, declared, checks, outputs, prompt, prompt)
    if unknown or not outputs:
        return found
    links = {
        node_id: [source for _, source, _ in links_of(node) if source in prompt]
        for node_id, node in prompt.items()
    }
    followed = {node_id: list(found.declared_links(node_id)) for node_id in prompt}
    return attrs.evolve(found, needed=_closure(outputs, links), judged=_closure(outputs, followed))


def _declared(
    definition: JSONObject, node: JSONObject, rules: ValidationRules
) -> dict[str, InputSpec] | None:
    try:
        declared = declared_inputs(
            definition.get("input", {}), node["inputs"], expand=rules.expand_dynamic
        )
        return {name: spec for name, spec, _ in declared if spec[0] is not None}
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError):
        return None


def _closure(start: Iterable[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    reached = set(start)
    waiting = list(reached)
    while waiting:
        for node_id in following.get(waiting.pop(), ()):
            if node_id not in reached:
                reached.add(node_id)
                waiting.append(node_id)
    return reached
