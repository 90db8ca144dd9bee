"""The tags of assets: ``/api/tags``, ``/api/assets/tags/refine``, ``/api/assets/{id}/tags``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

import attrs

from .._replies import Request, unexpected
from .._util import as_list, is_list, is_object
from ._asset_refusals import require_answer
from ._assets import as_tags, asset_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._replies import Reply
    from .._util import JSONObject
    from ._assets import AssetFilter

TagOrder: TypeAlias = Literal["count_desc", "name_asc"]
"""Those on most assets first, or by name."""

_TAGS = "a page of tags"
_COUNTS = "how many assets have which tag"


@final
@attrs.frozen
class TagUsage:
    """A tag, and how many assets have it.

    Args:
        name: The tag.
        count: How many assets have it; 0 for some that the server brings along.
    """

    name: str
    count: int


@final
@attrs.frozen
class TagPage:
    """Some of the server's tags.

    Args:
        tags: In the order asked for.
        total: How many there are on all pages.
        has_more: Whether more follow.
    """

    tags: tuple[TagUsage, ...]
    total: int
    has_more: bool


@final
@attrs.frozen
class TagChange:
    """What became of tags that were to be added or removed.

    Args:
        changed: Those that were added, or removed.
        unchanged: Those that were there already, or not there at all.
        protected: Those that the server keeps for itself (newer than 0.27).
        tags: Those that the asset has now.
        raw: The reply as the server sent it.
    """

    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    protected: tuple[str, ...]
    tags: tuple[str, ...]
    raw: JSONObject = attrs.field(factory=dict[str, Any], repr=False, eq=False)


def tags_request(
    prefix: str | None, *, limit: int, offset: int, order: TagOrder, include_unused: bool
) -> Request:
    """Return the request for a page of tags; see `AssetNamespace.tags`."""
    params = [("prefix", prefix)] if prefix else []
    params += [("limit", str(limit)), ("offset", str(offset)), ("order", order)]
    params.append(("include_zero", "true" if include_unused else "false"))
    return Request("GET", "/api/tags", tuple(params))


def counts_request(wanted: AssetFilter, *, limit: int, newest: bool = False) -> Request:
    """Return the request for the tags of the assets that fulfil a filter."""
    params = (*wanted.params(newest=newest), ("limit", str(limit)))
    return Request("GET", "/api/assets/tags/refine", params)


def change_request(method: str, asset_id: str, tags: Iterable[str]) -> Request:
    """Return the request that adds (POST) or removes (DELETE) tags."""
    return asset_request(asset_id, method=method, below="/tags", json={"tags": as_tags(tags)})


def read_tags(reply: Reply) -> TagPage:
    """Read a page of tags.

    Raises:
        ResponseError: it is something else.
    """
    body = require_answer(reply, _TAGS)
    tags: list[TagUsage] = []
    for each in as_list(body.get("tags")):
        match each:
            case {"name": str() as name, "count": int() as count}:
                tags.append(TagUsage(name, count))
            case _:
                raise unexpected(reply, _TAGS)
    match body:
        case {"tags": [*_], **rest}:
            total = rest.get("total")
            return TagPage(
                tuple(tags),
                total if isinstance(total, int) else len(tags),
                bool(rest.get("has_more")),
            )
        case _:
            raise unexpected(reply, _TAGS)


def read_counts(reply: Reply) -> dict[str, int]:
    """Read how many assets have which tag.

    Raises:
        ResponseError: it is something else.
    """
    counts = require_answer(reply, _COUNTS).get("tag_counts")
    if not is_object(counts) or not all(isinstance(count, int) for count in counts.values()):
        raise unexpected(reply, _COUNTS)
    return counts


def read_change(reply: Reply, asset_id: str) -> TagChange:
    """Read what became of tags.

    Raises:
        ResponseError: it is something else.
    """
    expected = "the tags that were changed"
    body = require_answer(reply, expected, asset_id)
    if not is_list(body.get("total_tags")):
        raise unexpected(reply, expected)

    def texts(*keys: str) -> tuple[str, ...]:
        return tuple(str(each) for key in keys for each in as_list(body.get(key)))

    return TagChange(
        texts("added", "removed"),
        texts("already_present", "not_present"),
        texts("protected"),
        texts("total_tags"),
        body,
    )
