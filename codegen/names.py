"""Names for everything that a server declares: which class, keyword, attribute, alias, module.

Each name is a function of what it names and of the pack that it comes from, never of the order in
which things were listed nor of the other packs that happen to be installed.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

import attrs

from .aliases import find_uses, merge_files, name_choices, name_files, options_key, types_of, walk
from .identifiers import (
    RUNTIME_TYPES,
    UNION,
    allocate,
    class_name,
    marker_name,
    module_name,
    pack_name,
)
from .members import Scope
from .named import CORE as CORE
from .named import NamedChoice as NamedChoice
from .named import NamedChoices as NamedChoices
from .named import NamedInput as NamedInput
from .named import NamedModule as NamedModule
from .named import NamedNode as NamedNode
from .named import NamedOutput as NamedOutput
from .named import NamedPack as NamedPack
from .named import NamedPackage as NamedPackage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .aliases import OptionsKey, Use
    from .declarations import NodeDeclaration


def resolve(declarations: Sequence[NodeDeclaration], *, strict_files: bool = False) -> NamedPackage:
    """Name all that is declared.

    Args:
        declarations: In any order; no two of one class type.
        strict_files: Keep lists of files apart that differ, instead of one alias by input name.
    """
    types = _name_types(declarations)
    members = _by_pack(declarations)
    classes = {
        pack: allocate({each.class_type: class_name(each.class_type) for each in nodes})
        for pack, nodes in members.items()
    }
    uses = {
        pack: [use for each in nodes for use in find_uses(each, classes[pack][each.class_type])]
        for pack, nodes in members.items()
    }
    apart = name_files(uses, CORE) if strict_files else {}
    choices: dict[str, dict[str, Use]] = {}
    shared: frozenset[OptionsKey] = frozenset()
    for pack in sorted(members, key=lambda pack: (pack != CORE, pack)):
        taken = {*classes[pack].values(), *_markers(members[pack], types)}
        taken.update(use.alias for use in uses[pack] if use.files)
        choices[pack] = name_choices(uses[pack], taken, shared)
        if pack == CORE:
            shared = frozenset(options_key(use.options) for use in choices[pack].values())
    package = NamedPackage(
        packs=tuple(
            NamedPack(
                pack,
                modules=(),
                choices=tuple(NamedChoices(name, use.options) for name, use in named.items()),
            )
            for pack, named in sorted(choices.items())
        ),
        types=types,
        unions=_name_unions(declarations, types),
        files=dict(
            sorted((name, tuple(each for _, each in key)) for (_, _, key), name in apart.items())
        )
        if strict_files
        else merge_files(chain.from_iterable(uses.values())),
        files_apart=apart,
    )
    return attrs.evolve(
        package,
        packs=tuple(
            attrs.evolve(
                pack,
                modules=_name_modules(
                    members[pack.name], classes[pack.name], Scope(package, pack.name)
                ),
            )
            for pack in package.packs
        ),
    )


def _by_pack(declarations: Iterable[NodeDeclaration]) -> dict[str, list[NodeDeclaration]]:
    packs: dict[str, list[NodeDeclaration]] = defaultdict(list)
    for each in declarations:
        packs[pack_name(each.module)].append(each)
    return packs


def _all_types(declaration: NodeDeclaration) -> Iterator[str]:
    for _, kind, _ in walk(declaration.inputs):
        yield from types_of(kind)
    for output in declaration.outputs:
        yield from output.types


def _name_types(declarations: Iterable[NodeDeclaration]) -> dict[str, str]:
    types = {type_ for each in declarations for type_ in _all_types(each)}
    types -= {"*", *RUNTIME_TYPES}
    return dict(sorted(allocate({type_: marker_name(type_) for type_ in types}).items()))


def _markers(declarations: Iterable[NodeDeclaration], types: Mapping[str, str]) -> set[str]:
    return {types[type_] for each in declarations for type_ in _all_types(each) if type_ in types}


def _name_unions(
    declarations: Iterable[NodeDeclaration], types: Mapping[str, str]
) -> dict[tuple[str, ...], str]:
    unions = {
        ",".join(output.types): output.types
        for each in declarations
        for output in each.outputs
        if len(output.types) > 1 and output.template is None
    }
    wanted = {
        key: UNION.join(types.get(type_, type_) for type_ in union) for key, union in unions.items()
    }
    named = allocate(wanted, {*types.values(), *RUNTIME_TYPES})
    return {unions[key]: name for key, name in sorted(named.items())}


def _name_modules(
    declarations: Iterable[NodeDeclaration], classes: Mapping[str, str], scope: Scope
) -> tuple[NamedModule, ...]:
    modules: dict[str, dict[str, NamedNode]] = defaultdict(dict)
    for each in declarations:
        node = scope.name_node(each, classes[each.class_type])
        modules[module_name(each.category)][node.class_name] = node
    return tuple(
        NamedModule(name, tuple(node for _, node in sorted(nodes.items())))
        for name, nodes in sorted(modules.items())
    )
