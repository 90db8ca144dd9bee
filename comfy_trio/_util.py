"""Small helpers that know nothing of ComfyUI: class policing, and JSON as Python sees it."""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias, TypeVar, cast

T = TypeVar("T")

JSON: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
"""What `json.loads` returns. Nested values are `Any`: whoever reads them checks them."""

JSONObject: TypeAlias = dict[str, Any]
"""A JSON object, as read; see `JSON`."""


class NoPublicConstructor(type):
    """Metaclass of the handles that only the library makes.

    Calling such a class raises `TypeError`; library code uses ``Cls._create(...)``.
    """

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{cls.__module__}.{cls.__qualname__} has no public constructor")

    def _create(cls: type[T], *args: object, **kwargs: object) -> T:
        make = cast("type[type]", super()).__call__
        return cast("T", make(*args, **kwargs))
