"""What may be said of one submission besides the workflow, and the request that it becomes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, cast, get_args

import attrs

from ._errors import NodeErrors, WorkflowError
from ._replies import post
from ._secrets import API_KEY
from ._util import MOST_LEVELS, copy_json, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._reference import JobReference
    from ._replies import Request
    from ._state import JobPlan
    from ._typed_node import OutputNode
    from ._util import JSONObject

PreviewMethod: TypeAlias = Literal["default", "none", "auto", "latent2rgb", "taesd"]
"""How samplers make previews; ``default`` is what the server was started with."""

PREVIEW_METHODS: Final[tuple[PreviewMethod, ...]] = get_args(PreviewMethod)


class SubmitOptions(TypedDict, total=False):
    """What may be said of one run; all of it as keywords, and None of any is as if it was left out.

    Options that make no sense raise `ValueError` before anything is sent, or `TypeError` if there
    is no option of that name.
    """

    front: bool | None
    """Whether it goes before all that waits. Of several such, the last goes first."""
    number: float | None
    """Its place in the queue, in place of the server's next one: lower runs earlier. The server
    counts from 0 on, and down from 0 for `front`; of equal numbers, the lower id runs earlier."""
    targets: Iterable[str | OutputNode[Any]] | OutputNode[Any] | None
    """The output nodes to run, and with them what they need; the rest is left out. Each an id, an
    alias or a title, as in `Workflow.output` and `Workflow.find`, or a typed node. One that is
    unknown or no output node is a `WorkflowError`. Servers before 0.3.48 may run all."""
    extra_data: Mapping[str, Any] | None
    """What is kept with the prompt, over what the client sends itself, such as
    ``{"extra_pnginfo": {"workflow": ...}}``, which ComfyUI writes into the files it saves."""
    preview_method: PreviewMethod | None
    """How samplers make previews in this run (0.5 and newer)."""
    comfy_org_api_key: str | None
    """For nodes that call paid services, in place of the client's."""


@attrs.frozen(kw_only=True)
class Submission:
    """A job that is in a server's queue, and nobody's to follow.

    Args:
        prompt_id: The job, under the id that this client chose.
        number: Its place in the queue: lower runs earlier. None if the server was not heard to say.
        node_errors: The nodes that the server refused while it took the rest. Usually none.
        auto_seeds: The seeds drawn for this run, by node id.
        reference: The job as data, for `Comfy.attach`.
    """

    prompt_id: str
    number: float | None
    reference: JobReference
    node_errors: Mapping[str, NodeErrors] = attrs.field(factory=dict[str, NodeErrors])
    auto_seeds: Mapping[str, int] = attrs.field(factory=dict[str, int])


def check_options(options: SubmitOptions, asked_by: str) -> SubmitOptions:
    """Return options without those that are None. What the caller may change is copied.

    Args:
        options: As they were given.
        asked_by: The name of the method that they were given to.

    Raises:
        TypeError: there is no option of that name.
        ValueError: they make no sense, or would break a server.
    """
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    for name in options:
        if name not in SubmitOptions.__optional_keys__:
            raise TypeError(f"{asked_by}() got an unexpected keyword argument {name!r}")
    if "number" in given:
        if given.get("front"):
            raise ValueError("front and number are two ways to say the same: give one of them")
        given["number"] = float(given["number"])
        if not math.isfinite(given["number"]):
            raise ValueError(f"number is a finite number, not {given['number']}")
    if given.get("preview_method", "default") not in PREVIEW_METHODS:
        known = ", ".join(PREVIEW_METHODS)
        raise ValueError(f"preview_method is one of {known}; not {given['preview_method']!r}")
    if "extra_data" in given:
        given["extra_data"] = _own_extra_data(given["extra_data"])
    return cast("SubmitOptions", given)


def _own_extra_data(value: object) -> JSONObject:
    """Return a copy of extra data, which may hold secrets: no message shows any of it.

    Over a null, or anything else that is no object, in these places a server fails with each list
    of jobs from then on (comfy_execution/jobs.py of ComfyUI), and before 0.3.68 its worker ends.
    """
    if not isinstance(value, Mapping):
        raise WorkflowError(f"extra_data is a mapping, not a {type(value).__name__}")
    try:
        text = json.dumps(copy_json(dict(cast("Mapping[str, Any]", value))), allow_nan=False)
    except RecursionError:
        raise WorkflowError(f"extra_data is nested deeper than {MOST_LEVELS} levels") from None
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"extra_data holds what JSON cannot ({type(error).__name__})") from None
    place: JSONObject = json.loads(text)
    extra_data = place
    path = "extra_data"
    for name in ("extra_pnginfo", "workflow"):
        if name not in place:
            break
        path += f"[{name!r}]"
        inner = place[name]
        if not is_object(inner):
            raise WorkflowError(
                f"{path} is a mapping, not {'null' if inner is None else type(inner).__name__};"
                " leave it out if there is none"
            )
        place = inner
    return extra_data


def prompt_request(
    plan: JobPlan,
    options: SubmitOptions,
    *,
    client_id: str,
    extra_data: JSONObject,
    canvas: JSONObject | None,
) -> Request:
    """Return the request that has a server take a job.

    Args:
        plan: The job.
        options: As `check_options` returned them.
        client_id: Who hears of it.
        extra_data: What this client sends along with each job.
        canvas: The workflow as it was drawn, if the prompt is that.
    """
    body: JSONObject = {
        "prompt": plan.prompt,
        "prompt_id": plan.prompt_id,
        "client_id": client_id,
    }
    if "number" in options:
        body["number"] = options["number"]
    if options.get("front"):
        body["front"] = True
    if plan.targets is not None:
        body["partial_execution_targets"] = [*plan.targets]
    if extra := _extra_data(options, extra_data, canvas):
        body["extra_data"] = extra
    return post("/prompt", body)


def _extra_data(
    options: SubmitOptions, of_client: JSONObject, canvas: JSONObject | None
) -> JSONObject:
    given = options.get("extra_data") or {}
    extra: JSONObject = {**of_client, **given}
    if canvas is not None:
        extra["extra_pnginfo"] = {"workflow": canvas, **given.get("extra_pnginfo", {})}
    if "comfy_org_api_key" in options:
        extra[API_KEY] = options["comfy_org_api_key"]
    if "preview_method" in options:
        extra["preview_method"] = options["preview_method"]
    return extra
