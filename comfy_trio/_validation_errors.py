"""The bodies of validation errors, word for word as servers send them.

Each function makes one: ``{"type", "message", "details", "extra_info"}``. A `Config` is the
declared type of an input and its options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._util import JSONObject

Config: TypeAlias = "tuple[Any, Any]"

_LONGEST_LIST_SHOWN: Final = 20


def _error(kind: str, message: str, details: str, **extra_info: Any) -> JSONObject:
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}


# Of the whole prompt


def class_missing(node_id: str, node: Any, *, modern: bool) -> JSONObject:
    """A node names no class."""
    details = f"Node ID '#{node_id}'"
    if not modern:
        message = "Cannot execute because a node is missing the class_type property."
        return _error("invalid_prompt", message, details)
    title = node.get("_meta", {}).get("title")
    shown = title or f"ID #{node_id}"
    return _error(
        "missing_node_type",
        f"Node '{shown}' has no class_type. "
        "The workflow may be corrupted or a custom node is missing.",
        details,
        node_id=node_id,
        class_type=None,
        node_title=title,
    )


def class_unknown(node_id: str, node: Any, *, modern: bool) -> JSONObject:
    """A node names a class that the server does not have."""
    class_type = node["class_type"]
    details = f"Node ID '#{node_id}'"
    if not modern:
        message = f"Cannot execute because node {class_type} does not exist."
        return _error("invalid_prompt", message, details)
    title = node.get("_meta", {}).get("title", class_type)
    return _error(
        "missing_node_type",
        f"Node '{title}' not found. The custom node may not be installed.",
        details,
        node_id=node_id,
        class_type=class_type,
        node_title=title,
    )


def prompt_without_outputs() -> JSONObject:
    """Nothing to run."""
    return _error("prompt_no_outputs", "Prompt has no outputs", "")


def failed_outputs(reasons: Sequence[JSONObject]) -> JSONObject:
    """No output is fit to run; `reasons` are the errors of the output nodes themselves."""
    return _error(
        "prompt_outputs_failed_validation",
        "Prompt outputs failed validation",
        "\n".join(f"{reason['message']}: {reason['details']}" for reason in reasons),
    )


# Of one node


def required_missing(name: str, shown: str) -> JSONObject:
    """A required input is absent; `shown` is its name without those of its parents."""
    return _error("required_input_missing", "Required input is missing", shown, input_name=name)


def link_malformed(name: str, config: Config, value: Any) -> JSONObject:
    """A list that is no link."""
    return _error(
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        name,
        input_name=name,
        input_config=list(config),
        received_value=value,
    )


def type_mismatch(name: str, config: Config, received: Any, link: Any) -> JSONObject:
    """A link from an output of another type."""
    return _error(
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        f"{name}, received_type({received}) mismatch input_type({config[0]})",
        input_name=name,
        input_config=list(config),
        received_type=received,
        linked_node=link,
    )


def not_convertible(name: str, config: Config, value: Any, exc: Exception) -> JSONObject:
    """A literal that cannot become a value of the declared type."""
    return _error(
        "invalid_input_type",
        f"Failed to convert an input value to a {config[0]} value",
        f"{name}, {value}, {exc}",
        input_name=name,
        input_config=list(config),
        received_value=value,
        exception_message=str(exc),
    )


def too_small(name: str, config: Config, value: Any) -> JSONObject:
    """A value below the declared ``min``."""
    return _error(
        "value_smaller_than_min",
        f"Value {value} smaller than min of {config[1]['min']}",
        name,
        input_name=name,
        input_config=list(config),
        received_value=value,
    )


def too_big(name: str, config: Config, value: Any) -> JSONObject:
    """A value above the declared ``max``."""
    return _error(
        "value_bigger_than_max",
        f"Value {value} bigger than max of {config[1]['max']}",
        name,
        input_name=name,
        input_config=list(config),
        received_value=value,
    )


def not_in_list(
    name: str, config: Config, value: Any, choices: Sequence[Any], shown: str
) -> JSONObject:
    """A value that is no choice; `shown` is how the message spells it. Long lists are left out."""
    is_long = len(choices) > _LONGEST_LIST_SHOWN
    listed = f"(list of length {len(choices)})" if is_long else str(choices)
    return _error(
        "value_not_in_list",
        "Value not in list",
        f"{name}: {shown} not in {listed}",
        input_name=name,
        input_config=None if is_long else list(config),
        received_value=value,
    )


def custom_failed(name: str, reason: object) -> JSONObject:
    """The class's own ``VALIDATE_INPUTS`` refused; False is a refusal without a reason."""
    details = name if reason is False else f"{name} - {reason}"
    return _error(
        "custom_validation_failed",
        "Custom validation failed for node",
        details,
        input_name=name,
    )


def cycle(path: str, node_id: str, members: list[str]) -> JSONObject:
    """A node depends on itself; `path` tells how. The list of members is that of all of them."""
    return _error(
        "dependency_cycle",
        "Dependency cycle detected",
        path,
        node_id=node_id,
        cycle_nodes=members,
    )


def inner_exception(
    name: str, config: Config, link: Any, exc: Exception, trace: list[str]
) -> JSONObject:
    """The check of a node upstream raised; kept as an error of that node."""
    return _error(
        "exception_during_inner_validation",
        "Exception when validating inner node",
        str(exc),
        input_name=name,
        input_config=list(config),
        exception_message=str(exc),
        exception_type=_type_name(exc),
        traceback=trace,
        linked_node=link,
    )


def outer_exception(exc: Exception, trace: list[str]) -> JSONObject:
    """The check of an output node raised."""
    return _error(
        "exception_during_validation",
        "Exception when validating node",
        str(exc),
        exception_type=_type_name(exc),
        traceback=trace,
    )


def _type_name(exc: Exception) -> str:
    cls = type(exc)
    in_builtins = cls.__module__ == "builtins"
    return cls.__qualname__ if in_builtins else f"{cls.__module__}.{cls.__qualname__}"
