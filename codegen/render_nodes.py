"""Classes of nodes: the modules of a generated package that somebody imports from."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING

import attrs

from .declarations import Autogrow, MatchType
from .imports import TYPING, WIRE_TYPES, Imports
from .layout import INDENT, Bracket, Keyword, call, docstring, flat, lay_out, quote, subscript
from .render_fields import render_field, render_slot, sentence
from .render_types import ANYTHING, Scope, output_type
from .ui_types import UI_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .declarations import Kind, NodeDeclaration
    from .layout import Doc
    from .named import NamedChoice, NamedInput, NamedModule, NamedNode, NamedPackage

_DECORATOR = "@frozen(kw_only=True)"
_MARGIN = " " * INDENT
_LONGEST_VARIABLE = 40
_TAKES_LISTS = "Takes lists whole, and does not run once for each item."
_GIVES_LIST = "Gives a list: nodes that take it run once for each item."


def render_module(package: NamedPackage, pack: str, module: NamedModule) -> tuple[str, str]:
    """Return the imports of a module of nodes, and its classes."""
    defined = {name for node in module.nodes for name in _names_of(node)}
    variables = _Variables(package, defined)
    by_node = [variables.of(node) for node in module.nodes]
    imports = Imports({node.class_name for node in module.nodes} | set(variables.bounds))
    scope = Scope(package, pack, imports)
    definitions = [
        _render_variable(scope, name, types) for name, types in sorted(variables.bounds.items())
    ]
    classes = [
        render_node(attrs.evolve(scope, variables=variables_of_node), node)
        for node, variables_of_node in zip(module.nodes, by_node, strict=True)
    ]
    blocks = ["\n".join(definitions)] if definitions else []
    return imports.source(), "\n\n\n".join([*blocks, *classes])


def render_node(scope: Scope, node: NamedNode) -> str:
    """Return the source of the class of a node."""
    scope.graph("frozen", running=True)
    header = _header(node.class_name, _bases(scope, node), indent=0)
    text = docstring(_text(node), indent=INDENT)
    blocks = [f"{_MARGIN}{text}", *_body(scope, node.inputs, indent=INDENT)]
    if len(node.outputs) > 1:
        for slot, output in enumerate(node.outputs):
            type_ = scope.out(output_type(scope, output.output))
            note = f" {_GIVES_LIST}" if output.output.is_list else ""
            told = sentence(output.output.tooltip) or f"Output {slot}."
            blocks.append(_property(output.attribute, type_, told + note, slot))
    return f"{_DECORATOR}\n{header}\n" + "\n\n".join(blocks)


def _property(name: str, type_: Doc, text: str, slot: int) -> str:
    start = f"{_MARGIN}def {name}(self) -> "
    line = f"{start}{flat(type_)}:"
    if len(line) > 100:
        start = f"{_MARGIN}def {name}(\n{_MARGIN * 2}self,\n{_MARGIN}) -> "
        before = len(start.rpartition("\n")[2])
        line = f"{start}{lay_out(type_, indent=INDENT, before=before, after=1)}:"
    return (
        f"{_MARGIN}@property\n{line}\n"
        f"{_MARGIN * 2}{docstring(text, indent=2 * INDENT)}\n"
        f"{_MARGIN * 2}return self._output({slot})"
    )


def _header(name: str, bases: Sequence[Doc], *, indent: int) -> str:
    return lay_out(call(f"class {name}", *bases), indent=indent, before=indent, after=1) + ":"


def _bases(scope: Scope, node: NamedNode) -> list[Doc]:
    declaration = node.declaration
    bases = [_base(scope, declaration)]
    if len(node.outputs) == 1:
        link = output_type(scope, node.outputs[0].output, running=True)
        bases.append(scope.out(link, running=True))
    variables = list(dict.fromkeys(scope.variables.values()))
    if variables:
        bases.append(subscript(scope.imports.add(TYPING, "Generic", running=True), *variables))
    if declaration.class_type != node.class_name:
        bases.append(Keyword("class_type=", quote(declaration.class_type)))
    lists = [output.is_list for output in declaration.outputs]
    if any(lists):
        items = Bracket("(", tuple(map(repr, lists)))
        bases.append(Keyword("output_is_list=", "(True,)" if len(lists) == 1 else items))
    return bases


def _base(scope: Scope, declaration: NodeDeclaration) -> Doc:
    learned = scope.package.shown.get(declaration.class_type)
    if not (declaration.is_output_node or declaration.shows or learned):
        return scope.graph("Node", running=True)
    base = scope.graph("OutputNode" if declaration.is_output_node else "UINode", running=True)
    shown = UI_TYPES.get(declaration.class_type)
    if shown is not None:
        return subscript(base, scope.imports.add(WIRE_TYPES, shown, running=True))
    if learned is not None:
        return subscript(base, scope.imports.add(".outputs", learned, running=True))
    return subscript(base, subscript("dict", "str", scope.imports.add(TYPING, "Any", running=True)))


def _body(scope: Scope, inputs: Sequence[NamedInput], *, indent: int) -> Iterator[str]:
    """Return the nested classes and the fields of a class, each class a block of its own."""
    for named in inputs:
        for choice in named.nested:
            yield _render_choice(scope, choice, named.input.name, indent=indent)
    if inputs:
        yield "\n".join(render_field(scope, named, indent=indent) for named in inputs)


def _render_choice(scope: Scope, choice: NamedChoice, input_name: str, *, indent: int) -> str:
    # A class in a generic one cannot have its variables.
    scope = attrs.evolve(scope, variables={})
    margin, inner = " " * indent, indent + INDENT
    bases: list[Doc] = [scope.graph("Choice", running=True), Keyword("key=", quote(choice.key))]
    header = _header(choice.class_name, bases, indent=indent)
    text = f"What comes with {quote(choice.key)}."
    blocks = list(_body(scope, choice.inputs, indent=inner))
    if choice.slot is not None:
        text = "What is linked, and what comes with it."
        slot = render_slot(scope, input_name, choice.slot, indent=inner)
        if choice.inputs:
            blocks[-1] = f"{slot}\n{blocks[-1]}"
        else:
            blocks.append(slot)
    blocks = [f"{' ' * inner}{docstring(text, indent=inner)}", *blocks]
    return f"{margin}{_DECORATOR}\n{margin}{header}\n" + "\n\n".join(blocks)


# --- words ----------------------------------------------------------------------------------------


def _text(node: NamedNode) -> str:
    declaration = node.declaration
    notes = [
        note
        for note, applies in (
            ("Deprecated.", declaration.deprecated),
            ("Experimental.", declaration.experimental),
            ("Calls a paid service.", declaration.api_node),
            (_TAKES_LISTS, declaration.is_input_list),
        )
        if applies
    ]
    title = declaration.display_name or declaration.class_type
    paragraphs = [
        "" if title.strip() == node.class_name else sentence(title),
        sentence(declaration.description),
        " ".join(notes),
    ]
    if len(declaration.outputs) == 1:
        [output] = declaration.outputs
        if output.tooltip.strip():
            paragraphs.append(f"Output: {sentence(output.tooltip)}")
        if output.is_list:
            paragraphs.append(_GIVES_LIST)
    return "\n\n".join(filter(None, paragraphs)) or f"{node.class_name}."


# --- type variables -------------------------------------------------------------------------------


class _Variables:
    """The type variables of a module: of all templates with the same types the same ones."""

    def __init__(self, package: NamedPackage, taken: set[str]) -> None:
        self._package = package
        self._taken = taken
        self.bounds: dict[str, tuple[str, ...]] = {}

    def of(self, node: NamedNode) -> dict[str, str]:
        """Return the variable of each template that links inputs of a node to its outputs."""
        given = {named.output.template for named in node.outputs}
        variables: dict[str, str] = {}
        for template, types in _templates(node).items():
            if template in given:
                name = self._name(types, set(variables.values()))
                variables[template] = name
                self.bounds[name] = types
        return variables

    def _name(self, types: tuple[str, ...], used: set[str]) -> str:
        markers = [self._package.types.get(name, name) for name in types]
        base = "_".join(["T", *markers])
        if len(base) > _LONGEST_VARIABLE:
            base = f"T_{markers[0]}_{hashlib.sha256(base.encode()).hexdigest()[:4]}"
        for number in itertools.count(1):
            name = base if number == 1 else f"{base}_{number}"
            if name in self._taken:
                name = f"_{name}"  # nothing that a package defines begins so
            if name not in used and self.bounds.get(name, types) == types:
                return name
        raise AssertionError("unreachable")


def _templates(node: NamedNode) -> Mapping[str, tuple[str, ...]]:
    """Return the types that each template of a node's own inputs allows; empty for anything."""
    templates: dict[str, tuple[str, ...]] = {}
    for named in node.inputs:
        kind: Kind = named.input.kind
        if isinstance(kind, Autogrow):
            kind = kind.item
        if isinstance(kind, MatchType):
            types = () if ANYTHING in kind.types else kind.types
            templates.setdefault(kind.template, types)
    return templates


def _render_variable(scope: Scope, name: str, types: Sequence[str]) -> str:
    options: list[Doc] = [quote(name)]
    if types:
        options.append(Keyword("bound=", scope.link(types, running=True)))
    function = scope.imports.add(TYPING, "TypeVar", running=True)
    return lay_out(call(f"{name} = {function}", *options), indent=0, before=0)


def _names_of(node: NamedNode) -> Iterator[str]:
    yield node.class_name
    for output in node.outputs:
        yield output.attribute
    yield from _names_in(node.inputs)


def _names_in(inputs: Sequence[NamedInput]) -> Iterator[str]:
    for named in inputs:
        yield named.attribute
        for choice in named.nested:
            yield choice.class_name
            yield from _names_in(choice.inputs)
