"""Secrets, and how they are kept out of what people read: messages, logs, reprs.

Servers and proxies repeat what they are shown: in error pages, in status lines, in the inputs of a
node that failed. So whatever comes from one and goes into a message is masked first.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from typing import TYPE_CHECKING, Final, cast, final
from urllib.parse import quote, quote_plus

from ._util import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._util import JSON

MASK: Final = "***"
MIN_LENGTH: Final = 4
"""What is shorter than this is no secret, and would leave little of a message if it were masked."""
MAX_PASSING: Final = 200
"""How many secrets that are renewed are remembered: of the tokens of weeks, the latest."""

_PLAIN_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "comfy-user",  # a name, which errors tell
        "pragma",
        "user-agent",
    }
)


@final
class Secrets:
    """What one client shows at the door, in every form in which it may be repeated."""

    def __init__(self) -> None:
        self._lasting: set[str] = set()
        self._passing: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        self.longest: int = 0
        """Length of the longest, in bytes: no more of a text need be looked at to find it."""

    @classmethod
    def of(cls, *secrets: str | None, headers: Iterable[tuple[str, str]] = ()) -> Secrets:
        """Return what knows some secrets."""
        made = cls()
        made.add(*(secret for secret in secrets if secret))
        made.add_headers(headers)
        return made

    def __repr__(self) -> str:
        return f"<Secrets [{len(self._lasting) + len(self._passing)}]>"

    def add(self, *secrets: str, passing: bool = False) -> None:
        """Remember secrets. Each is known in the forms that JSON, URLs and HTML give it, too.

        Args:
            secrets: What to remember.
            passing: Whether they are renewed now and then; the oldest of many are forgotten.
        """
        forms = {form for secret in secrets for form in _forms_of(secret)}
        new = {form for form in forms if len(form) >= MIN_LENGTH}
        new -= self._lasting | self._passing.keys()
        if not new:
            return
        self._pattern = None
        if passing:
            self._passing.update(dict.fromkeys(sorted(new)))
            while len(self._passing) > MAX_PASSING:
                del self._passing[next(iter(self._passing))]
        else:
            self._lasting |= new
        self.longest = max(self.longest, *(len(form.encode()) for form in new))

    def add_headers(self, headers: Iterable[tuple[str, str]], *, passing: bool = False) -> None:
        """Remember the values of headers, and what is secret in them."""
        for name, value in headers:
            if name.lower() not in _PLAIN_HEADERS:
                self.add(*_secrets_in(name.lower(), value), passing=passing)

    def mask(self, text: str) -> str:
        """Return a text without the secrets."""
        if self.longest == 0:
            return text
        if self._pattern is None:
            longest_first = sorted([*self._lasting, *self._passing], key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern.sub(MASK, text)

    def mask_bytes(self, data: bytes) -> bytes:
        """Return data without the secrets that are in it as UTF-8."""
        text = data.decode(errors="surrogateescape")
        return self.mask(text).encode(errors="surrogateescape")

    def mask_json(self, value: JSON) -> JSON:
        """Return a JSON value without the secrets, in keys and in texts. Copies what it changes.

        Of one that is nested too deeply to be looked through, nothing is shown.
        """
        if not self.longest:
            return value
        try:
            return cast("JSON", self._mask_value(value))
        except RecursionError:
            return MASK

    def _mask_value(self, value: object) -> object:
        if isinstance(value, str):
            return self.mask(value)
        if is_list(value):
            return [self._mask_value(each) for each in value]
        if is_object(value):
            return {self.mask(key): self._mask_value(each) for key, each in value.items()}
        return value

    def harmless(self, error: BaseException) -> BaseException | None:
        """Return an exception as the cause of another, unless a traceback of it told a secret."""
        told = any(self.mask(text) != text for text in _texts_of(error))
        return None if told else error


def _forms_of(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield json.dumps(secret)[1:-1].replace("/", "\\/")
    yield html.escape(secret)
    yield repr(secret)[1:-1]


def _secrets_in(name: str, value: str) -> Iterator[str]:
    yield value
    scheme, _, rest = value.partition(" ")
    if name == "cookie":
        for cookie in value.split(";"):
            yield cookie.partition("=")[2].strip().strip('"')
    elif name in {"authorization", "proxy-authorization"} and rest:
        yield rest
        if scheme.lower() == "basic":
            try:
                yield base64.b64decode(rest).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return


def _texts_of(error: BaseException) -> Iterator[str]:
    """Return what a traceback shows of an exception and of those behind it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield f"{each} {each!r} {getattr(each, '__notes__', '')}"
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", each).exceptions
