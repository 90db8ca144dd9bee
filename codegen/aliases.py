"""Names for lists of options, so that a list which many nodes share is written once."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias

import attrs

from .declarations import Autogrow, Combo, DynamicCombo, DynamicSlot, MatchType, Socket
from .identifiers import alias_name, allocate, file_alias_name, qualified_alias_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from .declarations import Input, Kind, NodeDeclaration, Option

# A short list that is used once is written where it is used, and so is one option.
_MAX_INLINE_OPTIONS = 3
_MAX_INLINE_WIDTH = 60

OptionsKey: TypeAlias = "tuple[tuple[type, Option], ...]"
"""Options such that True is not 1."""
FilesKey: TypeAlias = "tuple[str, str, OptionsKey]"
"""A list of files: the pack that has it, the name that it would have alone, and what is in it."""


def options_key(options: Iterable[Option]) -> OptionsKey:
    """Return what equals that of the same options in the same order, and of no others."""
    return tuple((type(option), option) for option in options)


@attrs.frozen
class Use:
    """One use of a list of options by a class of nodes.

    Args:
        alias: The name that it suggests.
        choices: The keys of the choices that the input is part of, from the outermost.
        files: Whether the options are files.
    """

    alias: str
    options: tuple[Option, ...]
    class_type: str
    class_name: str
    choices: tuple[str, ...] = ()
    files: bool = False


def find_uses(declaration: NodeDeclaration, class_name: str) -> Iterator[Use]:
    """Return every use of a list of options by one class of nodes."""
    for name, kind, choices in walk(declaration.inputs):
        alias, files = alias_name(name), False
        match kind:
            case Combo(loose=False, files=True):
                alias, options, files = file_alias_name(name), kind.options, True
            case Combo(loose=False, numbers=()):
                options = kind.options
            case Autogrow(names=names) if names:
                options = names
            case _:
                continue
        yield Use(alias, options, declaration.class_type, class_name, choices, files)
    for output in declaration.outputs:
        if output.options is not None:
            yield Use(alias_name(output.name), output.options, declaration.class_type, class_name)


def walk(
    inputs: Iterable[Input], keys: tuple[str, ...] = ()
) -> Iterator[tuple[str, Kind, tuple[str, ...]]]:
    """Return what each input is, with all that are part of it, under the input's name.

    Args:
        inputs: Of a node, or of a part of one.
        keys: Of the choices that they are part of; those of a choice among them are returned, too.
    """
    for each in inputs:
        yield each.name, each.kind, keys
        match each.kind:
            case Autogrow(item=item):
                yield each.name, item, keys
            case DynamicCombo(choices=choices):
                for choice in choices:
                    yield from walk(choice.inputs, (*keys, choice.key))
            case DynamicSlot(slot=slot, inputs=children):
                yield each.name, slot, keys
                yield from walk(children, keys)
            case _:
                pass


def types_of(kind: Kind) -> tuple[str, ...]:
    """Return the types that an input names, by itself and not in a part of it."""
    return kind.types if isinstance(kind, Socket | MatchType) else ()


def name_choices(
    uses: Iterable[Use], taken: AbstractSet[str], elsewhere: AbstractSet[OptionsKey]
) -> dict[str, Use]:
    """Return the aliases of a pack, sorted by name: one use of each.

    Args:
        uses: Of the pack. Those of files do not count.
        taken: Names that mean something else in the pack.
        elsewhere: Lists that have an alias already, which the pack can use.
    """
    lists: dict[OptionsKey, list[Use]] = defaultdict(list)
    for use in uses:
        if not use.files:
            lists[options_key(use.options)].append(use)
    return _name_lists(
        [each for key, each in lists.items() if key not in elsewhere and _deserves_alias(each)],
        taken,
    )


def _deserves_alias(uses: Sequence[Use]) -> bool:
    options = uses[0].options
    width = sum(len(repr(option)) + len(", ") for option in options)
    is_short = len(options) <= _MAX_INLINE_OPTIONS and width <= _MAX_INLINE_WIDTH
    return not is_short or (len(uses) > 1 and len(options) > 1)


def merge_files(uses: Iterable[Use]) -> dict[str, tuple[Option, ...]]:
    """Return the options of all files by alias, both sorted. Uses of others do not count."""
    merged: dict[str, dict[tuple[type, Option], Option]] = defaultdict(dict)
    for use in uses:
        if use.files:
            merged[use.alias].update(zip(options_key(use.options), use.options, strict=True))
    return {
        alias: tuple(sorted(options.values(), key=lambda each: (str(each), str(type(each)))))
        for alias, options in sorted(merged.items())
    }


def name_files(uses: Mapping[str, Iterable[Use]], core: str) -> dict[FilesKey, str]:
    """Return an alias for each list of files that one input has, by the packs that use it.

    Lists under different names stay apart even if they are equal, as two empty folders are. Packs
    use what core has; the name of the pack is in front of those of its own.

    Args:
        uses: By pack. Those of others than files do not count.
        core: The pack that every server has.
    """
    wanted: dict[str, str] = {}
    keys: dict[str, FilesKey] = {}
    shared: set[tuple[str, OptionsKey]] = set()
    for pack in sorted(uses, key=lambda pack: (pack != core, pack)):
        lists: dict[tuple[str, OptionsKey], list[Use]] = defaultdict(list)
        for use in uses[pack]:
            if use.files:
                lists[use.alias, options_key(use.options)].append(use)
        own = [each for key, each in lists.items() if key not in shared]
        for name, use in _name_lists(own, frozenset()).items():
            named = name if pack == core else json.dumps([pack, name])
            wanted[named] = name if pack == core else alias_name(pack) + name
            keys[named] = pack, use.alias, options_key(use.options)
        if pack == core:
            shared.update(lists)
    return {keys[named]: name for named, name in allocate(wanted).items()}


def _name_lists(lists: Iterable[Sequence[Use]], taken: AbstractSet[str]) -> dict[str, Use]:
    """Name lists of options, each given by all of its uses.

    A list is called after the input that has it most often. Of several lists under one name, that
    with most uses has the name to itself; the others get the name of a class in front. Of several
    in one class, each gets the choice that it is first part of after that.
    """
    rivals: dict[str, list[list[Use]]] = defaultdict(list)
    for uses in lists:
        counts = Counter(use.alias for use in uses)
        alias = min(counts, key=lambda each: (-counts[each], each))
        rivals[alias].append([use for use in uses if use.alias == alias])
    named: dict[str, Use] = {}
    qualified: dict[str, Use] = {}
    for alias, each in rivals.items():
        ranked = sorted(each, key=_rank)
        if alias not in taken:
            named[alias] = ranked.pop(0)[0]
        for uses in ranked:
            first = min(uses, key=lambda use: use.class_name)
            qualified[json.dumps([alias, first.options])] = first
    wanted = {key: use.class_name + use.alias for key, use in qualified.items()}
    counts = Counter(wanted.values())
    for key, use in qualified.items():
        if counts[wanted[key]] > 1:
            wanted[key] = qualified_alias_name(use.class_name, use.choices, use.alias)
    for key, name in allocate(wanted, taken | named.keys()).items():
        named[name] = qualified[key]
    return dict(sorted(named.items()))


def _rank(uses: Sequence[Use]) -> tuple[int, str, str]:
    return -len(uses), min(use.class_type for use in uses), json.dumps(uses[0].options)
