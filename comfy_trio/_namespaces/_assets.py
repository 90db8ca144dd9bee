"""The files that a server keeps track of, by content and with tags."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, final

import attrs
import trio

from .._errors import AssetError
from .._local_names import local_name
from .._part_file import open_part_file
from .._routes._asset_refusals import NOT_FOUND, UNKNOWN_PARAMETERS, require_success
from .._routes._asset_scans import (
    CANCEL_SCAN,
    PRUNE,
    ROOTS,
    SCAN_STATUS,
    read_cancellation,
    read_prune,
    read_scan,
    read_start,
    scan_request,
)
from .._routes._asset_tags import (
    change_request,
    counts_request,
    read_change,
    read_counts,
    read_tags,
    tags_request,
)
from .._routes._assets import (
    NO_HASH,
    ONE_ASSET,
    Asset,
    AssetFilter,
    asset_request,
    delete_request,
    from_hash_request,
    hash_request,
    page_request,
    read_asset,
    read_deletion,
    read_found_asset,
    read_new_asset,
    read_page,
    upload_request,
)
from .._upload import make_upload
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    from .._http import HttpClient, ReplyStream
    from .._replies import Progress, Reply, Request, UploadSource
    from .._routes._asset_scans import AssetRoot, AssetScan
    from .._routes._asset_tags import TagChange, TagOrder, TagPage
    from .._routes._assets import AssetPage, AssetSort, NewAsset, Order

EVERYTHING = AssetFilter()
PAGE_SIZE = 100
"""How many assets an iterator asks for at once."""


def id_of(asset: Asset | str) -> str:
    """Return an asset's id."""
    return asset.id if isinstance(asset, Asset) else asset


@final
@attrs.define(eq=False, slots=False)
class AssetNamespace(metaclass=NoPublicConstructor):
    """`Comfy.assets`: the files that the server keeps track of, by content and with tags.

    ComfyUI has assets since 0.9, and most of what is here since 0.12. From 0.17 on they are off
    unless the server is started with ``--enable-assets``. Where a server cannot do something, the
    method raises `UnsupportedError`; where it refuses to, `AssetError`.

    Wherever an asset is to be named, its id does as well.
    """

    _http: HttpClient = attrs.field(repr=False)

    async def page(
        self,
        wanted: AssetFilter = EVERYTHING,
        *,
        limit: int = 20,
        offset: int = 0,
        after: str | None = None,
        sort: AssetSort = "created_at",
        order: Order = "desc",
    ) -> AssetPage:
        """Return some of the server's assets.

        Args:
            wanted: Which. Default: all.
            limit: How many at most, 1 to 500.
            offset: How many to leave out before them.
            after: Instead of `offset`: where the page before ended, as its `AssetPage.next_cursor`
                tells (0.25 and newer). Filter, `sort` and `order` must be those of that page.
            sort: What they are sorted by. ``last_access_time`` has no cursors.
            order: ``desc`` for the latest, greatest or last first, or ``asc``.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """

        def request(*, newest: bool) -> Request:
            return page_request(
                wanted,
                limit=limit,
                offset=offset,
                after=after,
                sort=sort,
                order=order,
                newest=newest,
            )

        return read_page(await self._filtered(request))

    def each(
        self,
        wanted: AssetFilter = EVERYTHING,
        *,
        sort: AssetSort = "created_at",
        order: Order = "desc",
    ) -> AssetIterator:
        """Return the server's assets for an ``async for``, which asks for page after page.

        No more than a page is held. Each asset that is there all the while comes once, but for
        servers before 0.25 and the sort ``last_access_time``: there, some come twice or not at all
        when others are made or deleted in between.

        Args:
            wanted: Which. Default: all.
            sort: What they are sorted by.
            order: ``desc`` for the latest, greatest or last first, or ``asc``.
        """

        async def next_page(offset: int, after: str | None) -> AssetPage:
            return await self.page(
                wanted, limit=PAGE_SIZE, offset=offset, after=after, sort=sort, order=order
            )

        return AssetIterator._create(next_page)

    async def get(self, asset: Asset | str) -> Asset | None:
        """Return an asset as it is now; None if there is none.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asset_id = id_of(asset)
        return read_found_asset(await self._http.request(asset_request(asset_id)), asset_id)

    async def of(self, file: Mapping[str, Any]) -> Asset | None:
        """Return the asset of a file that a node wrote.

        None if the file names none, as from servers before 0.25 or without assets, or if it was
        deleted.

        Args:
            file: As a node's output names it: ``{"filename": ..., "id": ...}``.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asset_id = file.get("id")
        return await self.get(asset_id) if isinstance(asset_id, str) else None

    async def upload(
        self,
        source: UploadSource,
        *,
        tags: Iterable[str],
        filename: str | None = None,
        name: str | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        hash: str | None = None,  # noqa: A002  # as the server calls it
        mime_type: str | None = None,
        preview: Asset | str | None = None,
        progress: Progress | None = None,
    ) -> NewAsset:
        """Upload a file, and return the asset that the server made of it.

        The server stores a content once, under its hash, in the folder that the tags say; of a
        content that it has, it makes one more asset, which `Asset.reference` knows no file of.
        Memory use here does not depend on its size, unless it is given as bytes.

        Args:
            source: Whatever a file's content can be read from; see `FileNamespace.upload`. It must
                not be empty.
            tags: The first is the server's folder: ``input``, ``output`` or ``models``; with the
                last, the second is the kind of model, such as ``loras``. The others are also the
                subfolders.
            filename: The file's name, whose ending the stored file gets. Default: that of the path;
                of a picture's content, one that follows from it.
            name: The asset's. Default: the file's.
            user_metadata: Whatever else is to be known of it: what JSON can hold.
            hash: Of the content (``blake3:`` and 64 hexadecimal digits), if it is known: the server
                checks it, and need not store what it has.
            mime_type: Of the content. Default: it follows from the names.
            preview: The asset that shows what this one looks like. One that is not there is passed
                over.
            progress: Is called with how many bytes of the file have been sent, and of how many;
                None if that is not known before the end.

        Raises:
            FileError: the file has no name, cannot be read, or changes while it is sent.
            OSError: the file cannot be read.
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        file = make_upload(source, filename)
        request = upload_request(
            file.source,
            file.filename,
            tags=tags,
            name=name,
            user_metadata=user_metadata,
            content_hash=hash,
            mime_type=mime_type,
            preview_id=None if preview is None else id_of(preview),
            progress=progress,
        )
        return read_new_asset(await self._http.request(request))

    async def create_from_hash(
        self,
        hash: str,  # noqa: A002  # as the server calls it
        *,
        tags: Iterable[str] = (),
        name: str | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        mime_type: str | None = None,
        preview: Asset | str | None = None,
    ) -> Asset | None:
        """Make an asset of a content that the server has; None if it has none of that hash.

        Args:
            hash: Of the content: ``blake3:`` and 64 hexadecimal digits.
            tags: The asset's.
            name: The asset's. Default: the hash's digits.
            user_metadata: Whatever else is to be known of it: what JSON can hold.
            mime_type: Of the content, if the server knows none.
            preview: The asset that shows what this one looks like. One that is not there is passed
                over.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = from_hash_request(
            hash,
            tags,
            user_metadata,
            name=name,
            mime_type=mime_type,
            preview_id=None if preview is None else id_of(preview),
        )
        try:
            return read_asset(await self._http.request(request))
        except AssetError as error:
            if error.reason != NOT_FOUND:
                raise
            return None

    async def has_content(self, hash: str) -> bool:  # noqa: A002  # as the server calls it
        """Tell whether the server has a content.

        Args:
            hash: Of the content: ``blake3:`` and 64 hexadecimal digits.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        reply = await self._http.request(hash_request(hash))
        if reply.status == 404 and (await self._http.request(NO_HASH)).status == 400:
            return False
        if reply.status == 400:
            raise AssetError(
                f"{hash!r} is no hash of a content, which is 'blake3:' and 64 hexadecimal digits"
                f" ({reply.request.method} {reply.url} was answered with HTTP status 400)",
                reply.summary(),
                reason="INVALID_HASH",
            )
        if reply.status >= 300:
            require_success(await self._http.request(ONE_ASSET))
        require_success(reply)
        return True

    async def update(
        self,
        asset: Asset | str,
        *,
        name: str | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        preview: Asset | str | None = None,
    ) -> Asset:
        """Change an asset, and return it as it is then.

        Args:
            asset: Which.
            name: Its new name. Default: the old one.
            user_metadata: What is to be known of it from now on, in place of all before (the
                server keeps its own ``filename``). Default: it stays.
            preview: The asset that shows what it looks like. Default: it stays.

        Raises:
            AssetError, UnsupportedError: see the class. There is nothing to change, or no such
                asset, or it belongs to another user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asset_id = id_of(asset)
        changes: dict[str, Any] = {
            "name": name,
            "user_metadata": None if user_metadata is None else dict(user_metadata),
            "preview_id": None if preview is None else id_of(preview),
        }
        body = {key: value for key, value in changes.items() if value is not None}
        reply = await self._http.request(asset_request(asset_id, method="PUT", json=body))
        return read_asset(reply, asset_id)

    async def delete(self, asset: Asset | str) -> bool:
        """Delete an asset; False if there was none.

        The file stays, on all versions. But with the asset that it was uploaded as, servers up to
        0.27 forget where a content is: those that share it, and what is uploaded with the same
        content later, can be read no more.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asset_id = id_of(asset)
        return read_deletion(await self._http.request(delete_request(asset_id)), asset_id)

    async def read(self, asset: Asset | str) -> bytes:
        """Return an asset's content.

        Raises:
            AssetError, UnsupportedError: see the class. There is no such asset, or its file is
                gone.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        reply = await self._http.request(asset_request(id_of(asset), below="/content"))
        require_success(reply, id_of(asset))
        return reply.content

    async def download(self, asset: Asset | str, destination: str | os.PathLike[str]) -> trio.Path:
        """Write an asset's content to disk, and return where.

        The file appears under its name only when it is whole, in place of one that was there.
        Memory use does not depend on its size. The server cannot resume where a connection broke.

        Args:
            asset: Which.
            destination: A directory if it is one or ends with a slash (it is made if need be), or
                else the path to write. In a directory, the asset's name is used, without whatever
                path is in it.

        Raises:
            FileError: the asset's name is none for a file here.
            OSError: the file cannot be written.
            AssetError, UnsupportedError: see the class. There is no such asset, or its file is
                gone.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        path = trio.Path(destination)
        if str(destination).endswith(("/", "\\")) or await path.is_dir():
            if isinstance(asset, str):
                asset = read_asset(await self._http.request(asset_request(asset)), asset)
            path /= local_name(asset.name)
        async with self.open_stream(asset) as stream, open_part_file(path) as part:
            async for chunk in stream:
                await part.write(bytes(chunk))
        return path

    @asynccontextmanager
    async def open_stream(self, asset: Asset | str) -> AsyncGenerator[trio.abc.ReceiveStream, None]:
        """Open an asset's content; in the block, iterating yields it piece by piece.

        The server cannot go on where a connection broke off.

        Raises:
            AssetError, UnsupportedError: see the class. There is no such asset, or its file is
                gone.
            ResponseError, ServerUnreachableError: on entering; the request failed.
            DisconnectedError: on entering or reading; the connection broke.
        """
        asset_id = id_of(asset)
        async with self._http.stream(asset_request(asset_id, below="/content")) as reply:
            if reply.status >= 300:
                require_success(await reply.read(), asset_id)
            async with _Content(reply) as content:
                yield content

    async def add_tags(self, asset: Asset | str, tags: Iterable[str]) -> TagChange:
        """Give an asset more tags, which the server writes in lower case.

        Raises:
            AssetError, UnsupportedError: see the class. There is no tag, or no such asset, or it
                belongs to another user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asset_id = id_of(asset)
        return read_change(
            await self._http.request(change_request("POST", asset_id, tags)), asset_id
        )

    async def remove_tags(self, asset: Asset | str, tags: Iterable[str]) -> TagChange:
        """Take tags from an asset.

        Raises:
            AssetError, UnsupportedError: see the class. There is no tag, or no such asset, or it
                belongs to another user.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        asset_id = id_of(asset)
        return read_change(
            await self._http.request(change_request("DELETE", asset_id, tags)), asset_id
        )

    async def tags(
        self,
        prefix: str | None = None,
        *,
        limit: int = 100,
        offset: int = 0,
        order: TagOrder = "count_desc",
        include_unused: bool = True,
    ) -> TagPage:
        """Return some of the tags that the server knows.

        Args:
            prefix: How they begin. Default: in any way.
            limit: How many at most, 1 to 1000.
            offset: How many to leave out before them.
            order: ``count_desc`` for those on most assets first, or ``name_asc``.
            include_unused: Whether those come that are on no asset.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = tags_request(
            prefix, limit=limit, offset=offset, order=order, include_unused=include_unused
        )
        return read_tags(await self._http.request(request))

    async def tag_counts(
        self, wanted: AssetFilter = EVERYTHING, *, limit: int = 100
    ) -> dict[str, int]:
        """Return the tags of some assets, and how many of these have each; the most first.

        Args:
            wanted: Which assets. Default: all.
            limit: How many tags at most, 1 to 1000.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """

        def request(*, newest: bool) -> Request:
            return counts_request(wanted, limit=limit, newest=newest)

        return read_counts(await self._filtered(request))

    async def start_scan(self, roots: Iterable[AssetRoot] = ROOTS) -> bool:
        """Let the server look for new files in its folders; False if it does already.

        Servers before 0.17 have finished when they answer.

        Args:
            roots: The folders: ``models``, ``input``, ``output``. Default: all.

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_start(await self._http.request(scan_request(roots, wait=False)))

    async def scan(self, roots: Iterable[AssetRoot] = ROOTS) -> AssetScan:
        """Let the server look for new files in its folders, and wait until it has.

        It goes on when the wait is cancelled; see `cancel_scan`.

        Args:
            roots: The folders: ``models``, ``input``, ``output``. Default: all.

        Raises:
            AssetError, UnsupportedError: see the class. A scan is running (its reason is
                ``already_running``).
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_scan(await self._http.request(scan_request(roots, wait=True)))

    async def scan_status(self) -> AssetScan:
        """Return how far the scan is that runs, or what the last one came to (0.17 and newer).

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_scan(await self._http.request(SCAN_STATUS))

    async def cancel_scan(self) -> bool:
        """Stop the scan that runs, which takes a moment; False if none does (0.17 and newer).

        Raises:
            AssetError, UnsupportedError: see the class.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_cancellation(await self._http.request(CANCEL_SCAN))

    async def prune(self) -> int:
        """Mark the assets whose files are in none of the server's folders any more as missing.

        They show no longer, until their file is found again. Servers have it since 0.17.

        Returns:
            How many were marked.

        Raises:
            AssetError, UnsupportedError: see the class. A scan is running (its reason is
                ``scan_running``).
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_prune(await self._http.request(PRUNE))

    async def _filtered(self, request: Callable[..., Request]) -> Reply:
        """Ask with the parameters of all servers, and of the newest alone if it refuses others."""
        reply = await self._http.request(request(newest=False))
        if reply.status == 400 and request(newest=True) != request(newest=False):
            try:
                require_success(reply)
            except AssetError as error:
                if error.reason in UNKNOWN_PARAMETERS:
                    return await self._http.request(request(newest=True))
        return reply


@final
class AssetIterator(metaclass=NoPublicConstructor):
    """Assets, page after page; see `AssetNamespace.each`."""

    def __init__(self, next_page: Callable[[int, str | None], Awaitable[AssetPage]]) -> None:
        self._next_page = next_page
        self._held: deque[Asset] = deque()
        self._offset = 0
        self._after: str | None = None
        self._has_more = True

    def __aiter__(self) -> AssetIterator:
        return self

    async def __anext__(self) -> Asset:
        """Return the next asset.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: see `AssetNamespace.page`.
        """
        if not self._held and self._has_more:
            page = await self._next_page(self._offset, self._after)
            self._held.extend(page.assets)
            self._offset += len(page.assets)
            self._after = page.next_cursor
            self._has_more = page.has_more and bool(page.assets)
        else:
            await trio.lowlevel.checkpoint()
        if not self._held:
            raise StopAsyncIteration
        return self._held.popleft()


class _Content(trio.abc.ReceiveStream):
    """A reply's body as Trio has streams."""

    def __init__(self, stream: ReplyStream) -> None:
        self._stream = stream
        self._rest = b""
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next piece; empty at the end.

        Raises:
            DisconnectedError: the connection broke.
            trio.ClosedResourceError: the block is over.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("the block that opened this content is over")
        if not self._rest:
            self._rest = await self._stream.read_chunk()
        cut = len(self._rest) if max_bytes is None else max_bytes
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        return piece

    async def aclose(self) -> None:
        """Read nothing more; the connection is closed with the block."""
        self._closed = True
        await trio.lowlevel.checkpoint()
