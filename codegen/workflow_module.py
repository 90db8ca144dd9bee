"""Types for one workflow: its prompt and what a server declares in, the source of a module out.

The module holds the workflow, and calls that are checked: what can be set, and what comes of it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from typing import TYPE_CHECKING, Final, cast, final

import attrs

from .declarations import Combo
from .identifiers import function_name
from .imports import TYPING, WIRE_TYPES, Imports
from .layout import INDENT, Bracket, Keyword, assignment, call, docstring, lay_out, quote
from .parse import parse_object_info
from .render import HEADER, plain
from .render_fields import sentence, tell
from .ui_types import UI_TYPES
from .values import is_list, is_object, is_plain
from .values import quote as shorten
from .workflow_inputs import find_inputs, find_outputs
from .workflow_names import name_inputs, name_outputs
from .workflow_types import Aliases, value_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from comfy_trio._util import JSONObject

    from .declarations import NodeDeclaration
    from .layout import Doc
    from .workflow_inputs import Place, SettableInput

CLIENT: Final = "comfy_trio"
_MARGIN: Final = " " * INDENT
_DEEPEST: Final = 60
"""Python reads no source whose brackets are nested much deeper."""
_RUN_TEXT: Final = '''\
"""Run the workflow with some inputs set, and return its outputs.

    Raises:
        KeyError: the server refused one of the outputs; the message says why.
        ComfyError: see `Comfy.run`.
    """'''
_IN_BODY: Final = frozenset({"JSON", "Literal", "Sequence", "bool", "comfy", "float", "int", "str"})
"""Names that mean something where the keys of inputs are attributes and keywords."""
_IN_MODULE: Final = frozenset({"Any", "Comfy", "PromptBuilder", "Unpack", "Workflow"})


class WorkflowModuleError(ValueError):
    """No module can be made of a workflow; the message says why."""


@final
@attrs.frozen
class WorkflowModule:
    """What came of a workflow.

    Args:
        source: Of the module.
        inputs: The paths of what can be set, by key.
        outputs: The ids of the output nodes, by key.
        unknown: The class types that the server does not declare.
    """

    source: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def generate_workflow_module(
    prompt: JSONObject,
    object_info: Mapping[str, object],
    *,
    name: str,
    generator_version: str,
    server_version: str,
    strict_files: bool = False,
) -> WorkflowModule:
    """Return a module for a workflow: the same for the same prompt and declarations.

    Args:
        prompt: In API format. Whatever it holds, it is data: none of it becomes code other than
            names, literals and docstrings.
        object_info: The reply to ``GET /object_info``.
        name: What people call the workflow: of the functions and types.
        generator_version: For the header.
        server_version: Likewise.
        strict_files: Whether only the files that the server has now pass for one.

    Raises:
        WorkflowModuleError: it has no output node, or values that no source can hold.
    """
    if not is_plain(cast("object", prompt), depth=_DEEPEST):
        raise WorkflowModuleError("it has numbers that are infinite or none, or lists without end")
    used = {node["class_type"] for node in prompt.values()}
    declared = {each: object_info[each] for each in sorted(used & object_info.keys())}
    classes = {each.class_type: each for each in parse_object_info(declared)}
    outputs = find_outputs(prompt, classes)
    if not outputs:
        raise WorkflowModuleError(
            "it has no output node, such as SaveImage or PreviewImage, so no server would run it"
        )
    function, class_ = function_name(name)
    renderer = _Renderer(prompt, classes, function, class_, outputs, strict_files=strict_files)
    digest = hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:16]
    header = (
        f"{HEADER} Run `python -m comfy_trio codegen` again.\n"
        f"# generator: comfy_trio {plain(generator_version)},"
        f" server: ComfyUI {plain(server_version)}\n"
        f"# workflow: sha256 {digest}\n"
    )
    return WorkflowModule(
        header + renderer.source(),
        {key: each.path for key, each in renderer.inputs.items()},
        {key: each.node_id for key, each in renderer.outputs.items()},
        tuple(sorted(used - object_info.keys())),
    )


def is_same_module(found: str, source: str, *, strict_files: bool = False) -> bool:
    """Tell whether a module on disk is what it should be, however it is laid out.

    The versions in its header do not count; nor, unless they are strict, the files that a server
    has.
    """
    try:
        return _essence(found, strict_files) == _essence(source, strict_files)
    except (SyntaxError, ValueError, RecursionError):
        return False


def _essence(source: str, strict_files: bool) -> str:
    tree = ast.parse(source)
    for statement in tree.body:
        match statement:
            case ast.AnnAssign(value=ast.BinOp(right=ast.Name("str"))) if not strict_files:
                statement.value = None
            case _:
                pass
    return ast.dump(tree)


class _Renderer:
    """The parts of one module, and what they need of each other: names, aliases and imports."""

    def __init__(
        self,
        prompt: JSONObject,
        classes: Mapping[str, NodeDeclaration],
        function: str,
        class_: str,
        outputs: tuple[Place, ...],
        *,
        strict_files: bool,
    ) -> None:
        self.prompt = prompt
        self.classes = classes
        self.function, self.class_ = function, class_
        self.outputs = name_outputs(outputs, classes)
        inputs = find_inputs(prompt, classes, outputs)
        aliases = Aliases(
            {f"{class_}Inputs", f"{class_}Outputs", *UI_TYPES.values(), *_IN_MODULE},
            strict_files=strict_files,
        )
        for each in inputs:
            if each.declared is not None and isinstance(each.declared.kind, Combo):
                aliases.add(each.declared.name, each.declared.kind)
        self.aliases = aliases.named()
        taken = _IN_BODY | {name for name, _ in self.aliases.values()}
        self.inputs = name_inputs(inputs, classes, taken)
        self.imports = Imports()

    def source(self) -> str:
        """Return the module without its first comments."""
        blocks = [*self._types(), *self._functions(), self._template()]
        aliases = self._aliases()
        text = (
            f"One workflow, typed: `run_{self.function}` runs it, `{self.function}` makes it.\n\n"
            "Of its inputs any may be given; what is not is as in the file that this was made of."
        )
        head = [docstring(text, indent=0), self.imports.source(), *aliases]
        return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join(blocks) + "\n"

    def _aliases(self) -> list[str]:
        """Return the definitions of all aliases as one block, if there are any."""
        if not self.aliases:
            return []
        self.imports.add(TYPING, "Literal", running=True)
        type_alias = self.imports.add(TYPING, "TypeAlias", running=True)
        definitions = sorted(self.aliases.values(), key=lambda alias: alias[0])
        return [
            "\n".join(assignment(name, type_alias, type_, indent=0) for name, type_ in definitions)
        ]

    # --- types ------------------------------------------------------------------------------------

    def _types(self) -> Iterator[str]:
        typed_dict = self.imports.add(TYPING, "TypedDict", running=True)
        yield _class(
            f"class {self.class_}Inputs({typed_dict}, total=False):",
            f"What can be set in the workflow: see `{self.function}`.",
            [
                (key, value_type(each, self.aliases, self.imports), self._tell_input(each))
                for key, each in self.inputs.items()
            ],
        )
        yield _class(
            f"class {self.class_}Outputs({typed_dict}):",
            f"What comes of the workflow: see `run_{self.function}`.",
            [
                (key, self._shown(place), f"{self._tell_place(place)}.")
                for key, place in self.outputs.items()
            ],
        )

    def _shown(self, place: Place) -> Doc:
        if (shown := UI_TYPES.get(place.class_type)) is not None:
            return self.imports.add(WIRE_TYPES, shown)
        return f"dict[str, {self.imports.add(TYPING, 'Any')}]"

    def _tell_input(self, each: SettableInput) -> str:
        told = tell(each.declared) if each.declared is not None else ""
        name = f"`{each.name}` of {self._tell_place(each.place)}."
        break_ = "\n\n" if "\n" in told else " "
        return f"{name} Default: {sentence(shorten(each.value))}{break_}{told}".rstrip()

    def _tell_place(self, place: Place) -> str:
        where = f"{place.class_type}, node {place.node_id}"
        return f"{place.title} ({where})" if place.title else where

    # --- functions --------------------------------------------------------------------------------

    def _functions(self) -> Iterator[str]:
        workflow = self.imports.add(CLIENT, "Workflow")
        comfy = self.imports.add(CLIENT, "Comfy")
        unpack = f"{self.imports.add(TYPING, 'Unpack')}[{self.class_}Inputs]"
        text = docstring(
            f"Return the workflow with some inputs set, as for `{comfy}.open_job`.", indent=INDENT
        )
        yield (
            f"{_signature(f'def {self.function}', (f'**inputs: {unpack}',), workflow)}\n"
            f"{_MARGIN}{text}\n"
            f"{_MARGIN}return _TEMPLATE.batch_inputs(inputs).to_workflow()"
        )
        cast = self.imports.add(TYPING, "cast", running=True)
        returned = f"{self.class_}Outputs"
        parameters = (f"comfy: {comfy}", "/", f"**inputs: {unpack}")
        outputs = "{key: result[key] for key in _TEMPLATE.outputs}"
        value = lay_out(
            call(cast, quote(returned), outputs), indent=INDENT, before=INDENT + len("return ")
        )
        yield (
            f"{_signature(f'async def run_{self.function}', parameters, returned)}\n"
            f"{_MARGIN}{_RUN_TEXT}\n"
            f"{_MARGIN}result = await comfy.run({self.function}(**inputs))\n"
            f"{_MARGIN}return {value}"
        )

    # --- data -------------------------------------------------------------------------------------

    def _template(self) -> str:
        builder = self.imports.add(CLIENT, "PromptBuilder", running=True)
        made = call(
            f"{builder}[str, str]",
            data(self.prompt),
            Keyword("inputs=", data({key: each.path for key, each in self.inputs.items()})),
            Keyword("outputs=", data({key: each.node_id for key, each in self.outputs.items()})),
        )
        final_ = self.imports.add(TYPING, "Final", running=True)
        return assignment("_TEMPLATE", final_, made, indent=0)


def data(value: object) -> Doc:
    """Return plain JSON as an expression, its numbers digit by digit."""
    if is_object(value):
        return Bracket(
            "{", tuple(Keyword(f"{quote(key)}: ", data(item)) for key, item in value.items())
        )
    if is_list(value):
        return Bracket("[", tuple(map(data, value)))
    return quote(value) if isinstance(value, str) else repr(value).replace("e+", "e")


def _class(header: str, text: str, fields: list[tuple[str, Doc, str]]) -> str:
    blocks = [f"{header}\n{_MARGIN}{docstring(text, indent=INDENT)}"]
    if fields:
        blocks.append(
            "\n".join(
                f"{_MARGIN}{assignment(key, type_, indent=INDENT)}\n"
                f"{_MARGIN}{docstring(told, indent=INDENT)}"
                for key, type_, told in fields
            )
        )
    return "\n\n".join(blocks)


def _signature(start: str, parameters: tuple[str, ...], returned: str) -> str:
    end = f" -> {returned}:"
    return lay_out(call(start, *parameters), indent=0, before=0, after=len(end)) + end
