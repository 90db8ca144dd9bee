"""Prompts as text: JSON that any program reads, of any text that a prompt may hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ._errors import WorkflowError
from ._prompt import check_values

if TYPE_CHECKING:
    from ._util import JSONObject


def write_json(content: JSONObject, prompt: JSONObject, *, indent: int | None = None) -> str:
    """Return JSON, which UTF-8 can always encode.

    Args:
        content: What is to be written.
        prompt: The prompt in it, which tells where the fault is if there is one.
        indent: How far to indent each level. Default: all in one line.

    Raises:
        WorkflowError: there is a value which JSON does not have; it names the node and the input.
    """
    try:
        text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        check_values(prompt)
        raise WorkflowError(f"the workflow cannot be written as JSON: {error}") from None
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which can only be escaped
        return json.dumps(content, indent=indent, allow_nan=False)
    return text
