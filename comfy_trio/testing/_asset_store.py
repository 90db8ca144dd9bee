"""What an embedded server knows of files: assets, which share contents, with tags.

Where the package ``blake3`` is installed, contents are known by their BLAKE3 hashes, as with the
real server. Elsewhere a BLAKE2b digest of the same length stands in under the same name, which a
client that takes hashes as they come cannot tell.
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import uuid
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import attrs
from PIL import Image

from comfy_trio._util import is_list, is_object

from ._files import StoredFile, UnsafePathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from comfy_trio._util import JSONObject

    from ._files import FileStore

ROOTS: Final = ("models", "input", "output")
"""The folders that are scanned, by the tag that files in them have."""


class BadRequestError(ValueError):
    """The tags of an upload name no folder."""


@attrs.define(eq=False)
class Content:
    """What assets share.

    Args:
        hash: ``blake3:`` and 64 hexadecimal digits; None while nobody has computed it.
        size: In bytes.
        mime_type: Its format.
        found: What the server found in it.
    """

    hash: str | None
    size: int
    mime_type: str
    found: JSONObject


@attrs.define(eq=False, kw_only=True)
class AssetEntry:
    """One asset, which the real server calls a reference."""

    content: Content
    name: str
    path: Path | None
    """Its file; None for one that shares the file of another."""
    filename: str | None
    """Where the file is in its folder."""
    created_at: datetime
    updated_at: datetime
    accessed_at: datetime
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    tags: set[str] = attrs.field(factory=set[str])
    user_metadata: JSONObject = attrs.field(factory=dict[str, Any])
    preview_id: str | None = None
    job_id: str | None = None
    is_missing: bool = False
    is_deleted: bool = False

    @property
    def is_shown(self) -> bool:
        """Whether lists have it."""
        return not self.is_missing and not self.is_deleted

    def fulfils(
        self,
        include_tags: Iterable[str],
        exclude_tags: Iterable[str],
        name_contains: str,
        metadata: Mapping[str, object],
    ) -> bool:
        """Whether a list with this filter has it."""
        told = {**self.content.found, **self.user_metadata}
        return (
            self.is_shown
            and self.tags.issuperset(include_tags)
            and self.tags.isdisjoint(exclude_tags)
            and name_contains.lower() in self.name.lower()
            and all(_says(told.get(key), value) for key, value in metadata.items())
        )


@attrs.define(eq=False)
class ScanCounts:
    """What a scan came to."""

    scanned: int = 0
    total: int = 0
    created: int = 0
    skipped: int = 0


@attrs.define(eq=False)
class AssetStore:
    """All assets of one server. Access is synchronous, as that to files is.

    Args:
        files: The server's folders.
        now: The time in ms since 1970.
    """

    files: FileStore
    _now: Callable[[], int]
    last_scan: ScanCounts | None = attrs.field(default=None, init=False)
    known_tags: set[str] = attrs.field(factory=lambda: {*ROOTS, "missing"}, init=False)
    _entries: dict[str, AssetEntry] = attrs.field(factory=dict[str, AssetEntry], init=False)
    _contents: dict[str, Content] = attrs.field(factory=dict[str, Content], init=False)
    _latest: datetime = attrs.field(default=datetime.min.replace(tzinfo=UTC), init=False)

    def shown(self) -> Iterator[AssetEntry]:
        """The assets that lists have."""
        return (entry for entry in self._entries.values() if entry.is_shown)

    def find(self, asset_id: str) -> AssetEntry | None:
        """The asset, unless it was deleted."""
        entry = self._entries.get(asset_id)
        return None if entry is None or entry.is_deleted else entry

    def has_content(self, content_hash: str) -> bool:
        """Whether a content is known, even if all its assets were deleted."""
        return content_hash in self._contents

    def file_of(self, content_hash: str) -> AssetEntry | None:
        """An asset that has a file of this content."""
        content = self._contents.get(content_hash)
        return None if content is None else self._with_file(content)

    def open_path(self, entry: AssetEntry) -> Path | None:
        """The file with an asset's content, which counts as access; None if there is none."""
        if entry.path is None or not entry.path.is_file():
            other = self._with_file(entry.content)
            if other is None:
                return None
            path = other.path
        else:
            path = entry.path
        entry.accessed_at = self.moment()
        return path

    def moment(self) -> datetime:
        """The time, never the same twice, so that orders by time are those of events."""
        now = datetime.fromtimestamp(self._now() / 1000, UTC)
        self._latest = max(now, self._latest + timedelta(microseconds=1))
        return self._latest

    def upload(
        self,
        content: bytes,
        filename: str,
        *,
        tags: Sequence[str],
        name: str | None,
        mime_type: str | None,
        user_metadata: JSONObject,
        preview_id: str | None,
    ) -> tuple[AssetEntry, bool]:
        """Keep an uploaded file under its hash; tells also whether the content was new.

        Raises:
            BadRequestError: The tags cannot be folders.
        """
        content_hash = hash_of(content)
        digest = content_hash.partition(":")[2]
        title = (name or filename).rpartition("/")[2] or digest
        if content_hash in self._contents:
            entry = self.refer(
                content_hash,
                title,
                tags=tags,
                mime_type=mime_type,
                user_metadata=user_metadata,
                preview_id=preview_id,
            )
            return entry, False
        if any(part in {".", ".."} or "/" in part or "\\" in part for part in tags[1:]):
            raise BadRequestError("invalid path component in tags")
        dot = filename.rfind(".")
        suffix = filename[dot:] if dot > 0 and len(filename) - dot <= 16 else ""
        path = self._folder(tags[0]).joinpath(*tags[1:], digest + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        entry, created_new = self.register(
            path, title, tags=tags, mime_type=mime_type or mimetypes.guess_type(filename)[0]
        )
        entry.user_metadata = {**user_metadata, "filename": entry.filename}
        entry.preview_id = preview_id if preview_id in self._entries else None
        return entry, created_new

    def register(
        self,
        path: Path,
        name: str,
        *,
        tags: Iterable[str] = (),
        mime_type: str | None = None,
        job_id: str | None = None,
        is_hashed: bool = True,
    ) -> tuple[AssetEntry, bool]:
        """Take in a file where it is; tells also whether its content was new."""
        content, created_new = self._content_of(path, mime_type, is_hashed=is_hashed)
        moment = self.moment()
        entry = next((entry for entry in self._entries.values() if entry.path == path), None)
        if entry is None:
            root, filename = self._place(path)
            entry = AssetEntry(
                content=content,
                name=name,
                path=path,
                filename=filename,
                created_at=moment,
                updated_at=moment,
                accessed_at=moment,
                user_metadata={"filename": filename},
            )
            self._entries[entry.id] = entry
            self._tag(entry, [root, *path.relative_to(self._folder(root)).parent.parts])
        entry.content = content
        entry.is_missing = entry.is_deleted = False
        entry.updated_at = moment
        entry.job_id = job_id or entry.job_id
        self._tag(entry, tags)
        return entry, created_new

    def register_outputs(self, output: JSONObject, job_id: str) -> JSONObject:
        """A node's output with the ids of its files' assets."""
        return {
            key: [self._with_id(item, job_id) for item in items] if is_list(items) else items
            for key, items in output.items()
        }

    def refer(
        self,
        content_hash: str,
        name: str,
        *,
        tags: Iterable[str],
        mime_type: str | None,
        user_metadata: JSONObject,
        preview_id: str | None,
    ) -> AssetEntry:
        """Make one more asset of a content."""
        content = self._contents[content_hash]
        content.mime_type = content.mime_type or mime_type or ""
        moment = self.moment()
        entry = AssetEntry(
            content=content,
            name=name,
            path=None,
            filename=None,
            created_at=moment,
            updated_at=moment,
            accessed_at=moment,
            user_metadata=user_metadata,
            preview_id=preview_id if preview_id in self._entries else None,
        )
        self._entries[entry.id] = entry
        self._tag(entry, tags)
        return entry

    def delete(self, entry: AssetEntry, *, with_content: bool) -> None:
        """Forget an asset and, if it is the last of its content, the file too if so wished."""
        entry.is_deleted = True
        content = entry.content
        if with_content and not any(each.content is content for each in self.shown()):
            self._contents.pop(content.hash or "", None)
            if entry.path is not None:
                entry.path.unlink(missing_ok=True)

    def add_tags(self, entry: AssetEntry, tags: Iterable[str]) -> None:
        """Give an asset more tags."""
        self._tag(entry, tags)

    def counts(self) -> dict[str, int]:
        """How many assets have each tag."""
        counts = dict.fromkeys(self.known_tags, 0)
        for entry in self.shown():
            for tag in entry.tags:
                counts[tag] += 1
        return counts

    def scan(self, roots: Iterable[str]) -> ScanCounts:
        """Take in new files, and mark assets as missing whose files are gone."""
        counts = ScanCounts()
        known = {entry.path: entry for entry in self._entries.values() if entry.path is not None}
        for root in roots:
            folder = self._folder(root)
            found = {path for path in folder.rglob("*") if path.is_file()}
            counts.total += len(found)
            for path in sorted(found):
                if path in known:
                    known[path].is_missing = False
                    counts.skipped += 1
                else:
                    self.register(path, path.name, is_hashed=False)
                    counts.scanned += 1
                    counts.created += 1
            for path, entry in known.items():
                if path.is_relative_to(folder) and path not in found:
                    entry.is_missing = True
        self.last_scan = counts
        return counts

    def _content_of(
        self, path: Path, mime_type: str | None, *, is_hashed: bool
    ) -> tuple[Content, bool]:
        data = path.read_bytes()
        content_hash = hash_of(data) if is_hashed else None
        if content_hash is not None and content_hash in self._contents:
            return self._contents[content_hash], False
        kind = mime_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found = _dimensions(data) if kind.startswith("image/") else {}
        content = Content(content_hash, len(data), kind, found)
        if content_hash is not None:
            self._contents[content_hash] = content
        return content, True

    def _with_file(self, content: Content) -> AssetEntry | None:
        for entry in self.shown():
            if entry.content is content and entry.path is not None and entry.path.is_file():
                return entry
        return None

    def _with_id(self, item: object, job_id: str) -> object:
        if not is_object(item) or "filename" not in item or "type" not in item:
            return item
        try:
            place = StoredFile(item["filename"], item.get("subfolder") or "", item["type"])
            path = self.files.path(place)
        except (UnsafePathError, ValueError):
            return item
        if not path.is_file():
            return item
        # The real server knows the hash, too, but only until the job is over.
        entry, _ = self.register(
            path, place.filename, tags=[place.type], job_id=job_id, is_hashed=False
        )
        return {**item, "id": entry.id}

    def _folder(self, root: str) -> Path:
        return self.files.root / "models" if root == "models" else self.files.folder(root)

    def _place(self, path: Path) -> tuple[str, str]:
        """The folder that a file is in, and where in it: for models, in that of their kind."""
        root, *parts = path.relative_to(self.files.root).parts
        return root, "/".join(parts[1:] if root == "models" and len(parts) > 1 else parts)

    def _tag(self, entry: AssetEntry, tags: Iterable[str]) -> None:
        normal = {tag.strip().lower() for tag in tags} - {""}
        entry.tags |= normal
        self.known_tags |= normal


def hash_of(content: bytes) -> str:
    """A content's hash; see the module for which."""
    try:
        digest: str = import_module("blake3").blake3(content).hexdigest()
    except ImportError:
        digest = hashlib.blake2b(content, digest_size=32).hexdigest()
    return f"blake3:{digest}"


def _dimensions(data: bytes) -> JSONObject:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return {"kind": "image", "width": picture.width, "height": picture.height}
    except OSError:
        return {}


def _says(told: object, wanted: object) -> bool:
    """Whether metadata says what a filter wants, as the real server's table of it compares."""
    if is_list(wanted):
        return not wanted or any(_says(told, each) for each in wanted)
    if wanted is None:
        return told is None
    values = told if is_list(told) else [told]
    return any(
        value == wanted and isinstance(value, bool) == isinstance(wanted, bool) for value in values
    )
