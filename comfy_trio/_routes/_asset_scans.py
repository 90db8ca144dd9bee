"""``/api/assets/seed`` and ``/api/assets/prune``: how a server finds the files in its folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

import attrs

from .._errors import AssetError
from .._replies import Request, get, post, unexpected
from .._util import as_list, as_object
from ._asset_refusals import SCAN_RUNNING, require_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._replies import Reply
    from .._util import JSONObject

AssetRoot: TypeAlias = Literal["models", "input", "output"]
"""One of the folders that a server can scan."""

ROOTS: Final[tuple[AssetRoot, ...]] = ("models", "input", "output")

SCAN_STATUS: Final = get("/assets/seed/status")
CANCEL_SCAN: Final = post("/assets/seed/cancel", {})
PRUNE: Final = post("/assets/prune", {})

_SCAN = "how far the scan for assets is"


@final
@attrs.frozen(kw_only=True)
class AssetScan:
    """How far a scan of the server's folders is.

    Args:
        running: Whether it goes on; one that is paused while a job runs does.
        scanned: How many new files were looked at.
        total: How many files there are.
        created: How many assets were made.
        skipped: How many files were known.
        errors: What went wrong, each a sentence.
        raw: The reply as the server sent it; ``state`` is the server's word for what it does.
    """

    running: bool
    scanned: int = 0
    total: int = 0
    created: int = 0
    skipped: int = 0
    errors: tuple[str, ...] = ()
    raw: JSONObject = attrs.field(factory=dict[str, Any], repr=False, eq=False)


def scan_request(roots: Iterable[AssetRoot], *, wait: bool) -> Request:
    """Return the request that starts a scan."""
    params = (("wait", "true"),) if wait else ()
    return Request("POST", "/api/assets/seed", params, json={"roots": list(roots)})


def read_start(reply: Reply) -> bool:
    """Read whether a scan was started; False if one was running.

    Raises:
        ResponseError: it is something else.
    """
    try:
        body = require_answer(reply, "that a scan has started")
    except AssetError as error:
        if error.reason not in SCAN_RUNNING:
            raise
        return False
    if "status" not in body and "seeded" not in body:  # the latter before 0.17
        raise unexpected(reply, "that a scan has started")
    return True


def read_scan(reply: Reply) -> AssetScan:
    """Read how far a scan is, or what it came to.

    Raises:
        ResponseError: it is something else.
    """
    body = require_answer(reply, _SCAN)
    word = body.get("state", body.get("status"))
    if not isinstance(word, str) and "seeded" not in body:  # the latter before 0.17
        raise unexpected(reply, _SCAN)
    progress = as_object(body.get("progress"))
    counts = {key: progress.get(key, 0) for key in ("scanned", "total", "created", "skipped")}
    if not all(isinstance(count, int) for count in counts.values()):
        raise unexpected(reply, _SCAN)
    return AssetScan(
        running=word in {"RUNNING", "PAUSED", "CANCELLING"},
        errors=tuple(map(str, as_list(body.get("errors")))),
        raw=body,
        **counts,
    )


def read_cancellation(reply: Reply) -> bool:
    """Read whether there was a scan to cancel.

    Raises:
        ResponseError: it is something else.
    """
    expected = "whether a scan is cancelled"
    match require_answer(reply, expected):
        case {"status": str() as status}:
            return status == "cancelling"
        case _:
            raise unexpected(reply, expected)


def read_prune(reply: Reply) -> int:
    """Read how many assets were marked as missing.

    Raises:
        ResponseError: it is something else.
    """
    expected = "how many assets are missing"
    match require_answer(reply, expected):
        case {"marked": int() as marked}:
            return marked
        case _:
            raise unexpected(reply, expected)
