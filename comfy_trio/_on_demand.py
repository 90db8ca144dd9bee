"""Classes that attrs makes when they are first used, in whatever way that is.

A module of generated nodes has dozens, of which a program uses a few, and attrs takes most of a
millisecond for each.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from ._node_fields import describe_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._node_fields import InputField
    from ._typed_node import Inputs

C = TypeVar("C", bound="type[Inputs]")

if TYPE_CHECKING:
    from attrs import frozen as frozen
else:

    def frozen(*, kw_only: bool) -> Callable[[C], C]:
        """Make a class of nodes, as `attrs.frozen` does, but not before it is used.

        Args:
            kw_only: True, always: generated code says so for those who read and check it.
        """

        def mark(node_class: C) -> C:
            node_class.__attrs_attrs__ = _FieldsOnDemand()
            node_class.__init__ = _InitOnDemand()
            node_class._input_fields = _InputFieldsOnDemand()
            return node_class

        del kw_only
        return mark


class _FieldsOnDemand:
    """``__attrs_attrs__`` of a class that attrs has not made yet: asking for it makes it."""

    def __get__(self, instance: object, owner: type[Inputs]) -> tuple[attrs.Attribute[Any], ...]:
        _build(owner)
        return _fields_of(owner)


class _InitOnDemand:
    """``__init__`` of such a class, likewise: ``inspect.signature``, too, finds the real one."""

    def __get__(
        self, instance: Inputs | type[Inputs] | None, owner: type[Inputs]
    ) -> Callable[..., None]:
        # Since Python 3.13, `inspect` binds what it finds to the class itself.
        node_class = instance if isinstance(instance, type) else owner
        _build(node_class)
        init: Any = node_class.__init__
        bound: Callable[..., None] = init if instance is None else init.__get__(instance, owner)
        return bound


class _InputFieldsOnDemand:
    """``_input_fields`` of such a class, likewise: it may be unpickled before it is made."""

    def __get__(self, instance: object, owner: type[Inputs]) -> tuple[InputField, ...]:
        _build(owner)
        return owner._input_fields


_building = threading.RLock()


def _build(node_class: type[Inputs]) -> None:
    """Have attrs make a class, after those that it derives from; each once."""
    with _building:
        for each in reversed(node_class.__mro__):
            if isinstance(each.__dict__.get("__attrs_attrs__"), _FieldsOnDemand):
                _build_one(cast("type[Inputs]", each))


def _build_one(node_class: type[Inputs]) -> None:
    attrs.frozen(kw_only=True, eq=False, repr=False, slots=False, auto_detect=False)(node_class)
    # Until this is there, other threads that ask for it wait.
    node_class._input_fields = tuple(map(describe_field, _fields_of(node_class)))


def _fields_of(node_class: type[Inputs]) -> tuple[attrs.Attribute[Any], ...]:
    # A class that is made on demand is one of attrs', which types cannot tell.
    return tuple(attrs.fields(cast("type[attrs.AttrsInstance]", node_class)))
