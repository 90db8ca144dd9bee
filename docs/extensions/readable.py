"""Let the reference show what a reader would write: fields of values, context managers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTRS = re.compile(r"attrs?\.(frozen|define|mutable)\b")
ENUMS = {"Enum", "StrEnum"}
VALUES = {*ENUMS, "TypedDict"}
SEVERAL = re.compile(r"^    (\w+(?:, \w+)+): (.*(?:\n {5,}.*)*)$", re.MULTILINE)
"""What a section of a docstring says of several parameters, or of several errors, at once."""
LITERAL = re.compile(r"::$", re.MULTILINE)
FIELDS = griffe.DocstringSectionKind.attributes


def each(said: re.Match[str]) -> str:
    """Say of each what is said of several."""
    return "\n".join(f"    {name}: {said[2]}" for name in said[1].split(", "))


class Readable(griffe.Extension):
    """Tells griffe what decorators make of classes and of functions."""

    def __init__(self) -> None:
        """Begin with no class seen."""
        super().__init__()
        self._fields: dict[str, dict[str, griffe.DocstringAttribute]] = {}

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Read docstrings as this project writes them; have each value list all of its fields."""
        objects = list(objects_in(pkg))
        for obj in objects:
            if obj.docstring is not None:
                text = LITERAL.sub(":", SEVERAL.sub(each, obj.docstring.value))
                obj.docstring.value = text.replace("\nExample:\n", "\nFor example:\n")
        classes = [obj for obj in objects if isinstance(obj, griffe.Class)]
        for cls in classes:
            self.fields_of(cls)  # before any docstring is taken away
        for cls in classes:
            fields = self.fields_of(cls)
            if cls.docstring is not None and fields:
                said = [part for part in cls.docstring.parse() if part.kind is not FIELDS]
                listed = griffe.DocstringSectionAttributes(list(fields.values()))
                cls.docstring.parsed = [*said[:1], listed, *said[1:]]
                for name in fields.keys() & cls.members.keys():
                    cls.members[name].docstring = None  # or it would be shown once more
        public = set(public_paths(pkg))
        for cls in classes:
            shown = [base for base in cls.bases if is_shown(base, public)]
            if shown != cls.bases and cls.path in public:
                # What a private base has is the class's own, as far as a reader is concerned.
                inherited = dict(cls.inherited_members)
                cls.bases = shown
                left = cls.inherited_members
                own = {name: of.final_target for name, of in inherited.items() if name not in left}
                cls.members.update(own)

    def fields_of(self, cls: griffe.Class) -> dict[str, griffe.DocstringAttribute]:
        """Return the public fields of a class, those of its bases first; none if it is no value."""
        if cls.path not in self._fields:
            found: dict[str, griffe.DocstringAttribute] = {}
            for base in reversed(cls.mro()):
                found |= self.fields_of(base)
            made_by = [str(decorator.value) for decorator in cls.decorators]
            if found or bases_of(cls) & VALUES or any(map(ATTRS.match, made_by)):
                found |= own_fields(cls)
            self._fields[cls.path] = found
        return self._fields[cls.path]

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Show what ``async with`` gives, rather than the generator behind it."""
        made_by = [str(decorator.value) for decorator in func.decorators]
        if "asynccontextmanager" in made_by and isinstance(func.returns, griffe.ExprSubscript):
            given = func.returns.slice
            func.returns = given.elements[0] if isinstance(given, griffe.ExprTuple) else given
            func.labels = {"async with"}


def objects_in(parent: griffe.Object) -> Iterator[griffe.Object]:
    """Yield what a package holds, at any depth."""
    for member in parent.members.values():
        if not isinstance(member, griffe.Alias):
            yield member
            yield from objects_in(member)


def public_paths(package: griffe.Module) -> Iterator[str]:
    """Yield where that is made which programs import from a package or its public modules."""
    for module in (package, *package.modules.values()):
        if not module.name.startswith("_"):
            for member in module.members.values():
                if isinstance(member, griffe.Alias):
                    yield member.target_path


def is_shown(base: str | griffe.Expr, public: set[str]) -> bool:
    """Whether a reader is to know of a base: one that is public, or another package's."""
    if isinstance(base, str):
        return True
    path = base.canonical_path
    return path in public if path.startswith("comfy_trio.") else path != "typing.Generic"


def own_fields(cls: griffe.Class) -> dict[str, griffe.DocstringAttribute]:
    """Return the fields that a class itself has, with what its docstring or their own says."""
    told: dict[str, str] = {}
    if cls.docstring is not None:
        cls.docstring.value = cls.docstring.value.replace("\nArgs:\n", "\nAttributes:\n")
        for section in cls.docstring.parse():
            if section.kind is FIELDS:
                told = {field.name: field.description for field in section.value}
    return {
        name: griffe.DocstringAttribute(
            name, annotation=member.annotation, description=told.get(name) or said_of(member)
        )
        for name, member in cls.members.items()
        if isinstance(member, griffe.Attribute) and is_field(member, bases_of(cls))
    }


def bases_of(cls: griffe.Class) -> set[str]:
    """Return the names of a class's own bases."""
    return {str(base).rpartition(".")[2] for base in cls.bases}


def is_field(member: griffe.Attribute, bases: set[str]) -> bool:
    """Whether an attribute is a field of a value, or a member of an enumeration."""
    if member.annotation is None and not bases & ENUMS:
        return False
    computed = "property" in member.labels or "ClassVar" in str(member.annotation)
    public = not member.name.startswith("_") or member.name == "_meta"  # a key in prompts
    return public and not computed


def said_of(member: griffe.Attribute) -> str:
    """Return what a field's own docstring says; a member of an enumeration has a value, too."""
    said = "" if member.docstring is None else member.docstring.value
    if member.annotation is None and member.value is not None:
        return f"`{member.value}`. {said}".strip()
    return said
