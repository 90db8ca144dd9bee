"""A prompt with names for the inputs that vary and the outputs that matter."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast, final

from ._errors import WorkflowError
from ._prompt import (
    check_prompt,
    name_node,
    own_prompt,
    replace_value,
    require_prompt,
    split_path,
    unknown_node,
)
from ._prompt_json import write_json
from ._suggestions import did_you_mean
from ._util import as_object, copy_json, is_list, is_object, load_json
from ._workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._util import JSONObject

InputKey = TypeVar("InputKey", bound=str)
OutputKey = TypeVar("OutputKey", bound=str)

FORMAT = 1
"""The version of the JSON that `PromptBuilder.to_json` writes."""


@final
class PromptBuilder(Generic[InputKey, OutputKey]):
    """An API-format prompt whose inputs and outputs have names: a template for many runs.

    It is immutable: what seems to change it returns another builder, and no two of them, nor
    anything given to them or got from them, share what can be changed.

    The names are part of its type, so that a misspelt one is an error of mypy and of pyright.
    Pyright infers them; mypy wants them in brackets, or in an annotation::

        builder = PromptBuilder[Literal["positive", "seed"], Literal["images"]](
            json.loads(text),
            inputs={"positive": "6.inputs.text", "seed": "3.inputs.seed"},
            outputs={"images": "9"},
        )
        result = await comfy.run(builder.input("positive", "A misty forest").input("seed", -1))

    The members of a `enum.StrEnum` do as well (``inputs=MyInputs``), and both infer those.
    """

    _prompt: JSONObject
    _inputs: dict[str, tuple[str, ...]]
    _outputs: dict[str, str | None]
    _bypassed: tuple[str, ...]

    def __init__(
        self,
        prompt: Mapping[str, Any],
        inputs: Iterable[InputKey] | Mapping[InputKey, str | Sequence[str]],
        outputs: Iterable[OutputKey] | Mapping[OutputKey, str],
    ) -> None:
        """Make a builder. Keys may be given what they stand for at once, or one by one later.

        Args:
            prompt: In API format. Will be copied.
            inputs: The keys of what varies, or a mapping of them to paths: see `set_input_node`.
            outputs: The keys of what the result of a run holds, or a mapping of them to ids of
                nodes: see `set_output_node`.

        Raises:
            WorkflowError: the prompt is in another format, a key is empty or there twice, or stands
                for a node or an input that there is not.
        """
        self._prompt = own_prompt(prompt)
        self._inputs = dict.fromkeys(_require_keys("inputs", inputs), ())
        self._outputs = dict.fromkeys(_require_keys("outputs", outputs))
        self._bypassed = ()
        if isinstance(inputs, Mapping):
            for key, paths in cast("Mapping[str, str | Sequence[str]]", inputs).items():
                paths = (paths,) if isinstance(paths, str) else tuple(paths)
                self._inputs[key] = self._check_paths(f"inputs[{key!r}]", paths)
        if isinstance(outputs, Mapping):
            for key, node_id in cast("Mapping[str, str]", outputs).items():
                self._outputs[key] = self._check_node(f"outputs[{key!r}]", node_id)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Make a builder of what `to_json` wrote, here or in another process.

        What the TypeScript SDK's ``PromptBuilder.toJSON`` gives is read, too. NaN and infinities,
        which no server takes, become null. The text does not tell the type; give the keys in
        brackets to have them checked:
        ``PromptBuilder[Literal["seed"], Literal["images"]].from_json(text)``.

        Raises:
            WorkflowError: it is something else, or of a version that this one cannot read.
        """
        try:
            saved: object = load_json(text)
        except (ValueError, RecursionError) as error:
            raise WorkflowError(f"the prompt builder is not JSON: {error}") from None
        if not is_object(saved) or "prompt" not in saved:
            raise WorkflowError("this JSON is no prompt builder: it has no 'prompt'")
        if saved.get("version", FORMAT) != FORMAT:
            raise WorkflowError(
                f"the prompt builder was written by another version: its format is"
                f" {saved['version']!r}, and this one reads {FORMAT}"
            )
        inputs = {key: _read_names(key, paths) for key, paths in _read_map(saved, "mapInputKeys")}
        outputs = {
            key: None if node_id is None else _read_name(key, node_id)
            for key, node_id in _read_map(saved, "mapOutputKeys")
        }
        prompt = require_prompt(saved["prompt"], source="the prompt builder's prompt")
        builder = cls(
            prompt, cast("list[InputKey]", [*inputs]), cast("list[OutputKey]", [*outputs])
        )
        builder._inputs, builder._outputs = inputs, outputs
        builder._bypassed = _read_names("bypassNodes", saved.get("bypassNodes"))
        return builder

    def to_json(self) -> str:
        """Return the prompt as it stands, what the keys stand for, and what is bypassed, as JSON.

        `from_json` makes a builder of it that does the same.

        Raises:
            WorkflowError: an input was set to what JSON does not have; it names the input.
        """
        saved = {
            "version": FORMAT,
            "prompt": self._prompt,
            "mapInputKeys": {key: list(paths) for key, paths in self._inputs.items()},
            "mapOutputKeys": self._outputs,
            "bypassNodes": list(self._bypassed),
        }
        return write_json(saved, self._prompt)

    @property
    def prompt(self) -> JSONObject:
        """The prompt as it stands, as a copy. Nodes to bypass are in it."""
        return copy_json(self._prompt)

    @property
    def inputs(self) -> Mapping[InputKey, tuple[str, ...]]:
        """The paths that each key stands for; empty while it stands for nothing."""
        return cast("Mapping[InputKey, tuple[str, ...]]", dict(self._inputs))

    @property
    def outputs(self) -> Mapping[OutputKey, str | None]:
        """The id of the node that each key stands for; None while it stands for nothing."""
        return cast("Mapping[OutputKey, str | None]", dict(self._outputs))

    def __repr__(self) -> str:
        inputs, outputs = ", ".join(self._inputs), ", ".join(self._outputs)
        return f"<PromptBuilder of {len(self._prompt)} nodes, {inputs} -> {outputs}>"

    # --- what keys stand for ----------------------------------------------------------------------

    def set_input_node(self, key: InputKey, *paths: str) -> Self:
        """Let a key stand for one input or several, as ``"6.inputs.text"``.

        Paths are those of `Workflow.set`.

        Raises:
            WorkflowError: there is no such key, node or input, or no path.
        """
        asked_by = f"set_input_node({key!r})"
        return self._map_input(key, (), self._check_paths(asked_by, paths), asked_by)

    def append_input_node(self, key: InputKey, *paths: str) -> Self:
        """Let a key stand for more inputs than it does; see `set_input_node`."""
        asked_by = f"append_input_node({key!r})"
        before = self._require_input(key, asked_by)
        return self._map_input(key, before, self._check_paths(asked_by, paths), asked_by)

    def set_raw_input_node(self, key: InputKey, *paths: str) -> Self:
        """Let a key stand for inputs that the prompt need not have.

        Nodes with inputs of their own making need this. Node and form of a path are checked when
        the key is used, and by `check_inputs`.

        Raises:
            WorkflowError: there is no such key, or no path.
        """
        return self._map_input(key, (), paths, f"set_raw_input_node({key!r})")

    def append_raw_input_node(self, key: InputKey, *paths: str) -> Self:
        """Let a key stand for more inputs, unchecked; see `set_raw_input_node`."""
        asked_by = f"append_raw_input_node({key!r})"
        return self._map_input(key, self._require_input(key, asked_by), paths, asked_by)

    def set_output_node(self, key: OutputKey, node_id: str) -> Self:
        """Let a key stand for the output of a node: ``result[key]``.

        Raises:
            WorkflowError: there is no such key or node.
        """
        asked_by = f"set_output_node({key!r}, {node_id!r})"
        return self._map_output(key, self._check_node(asked_by, node_id), asked_by)

    def set_raw_output_node(self, key: OutputKey, node_id: str) -> Self:
        """Let a key stand for a node that is checked only by `check_outputs`, and before a run.

        Raises:
            WorkflowError: there is no such key.
        """
        return self._map_output(key, node_id, f"set_raw_output_node({key!r}, {node_id!r})")

    # --- nodes to leave out -----------------------------------------------------------------------

    @property
    def bypassed(self) -> tuple[str, ...]:
        """The ids of the nodes to bypass."""
        return self._bypassed

    def bypass(self, *node_ids: str) -> Self:
        """Leave nodes out when it is run; see `Workflow.bypass`.

        Raises:
            WorkflowError: there is no such node.
        """
        for node_id in node_ids:
            self._check_node(f"bypass({node_id!r})", node_id)
        return self._with(bypassed=tuple(dict.fromkeys((*self._bypassed, *node_ids))))

    def reinstate(self, *node_ids: str) -> Self:
        """Undo `bypass`.

        Raises:
            WorkflowError: there is no such node.
        """
        for node_id in node_ids:
            self._check_node(f"reinstate({node_id!r})", node_id)
        return self._with(bypassed=tuple(each for each in self._bypassed if each not in node_ids))

    # --- values -----------------------------------------------------------------------------------

    def input(
        self, key: InputKey, value: object, *, os: Literal["nt", "posix"] | None = None
    ) -> Self:
        """Set all inputs that a key stands for. None is a value, as JSON has it.

        Args:
            key: One of the builder's.
            value: JSON, or a link as ``[node id, slot]``. Will be copied.
            os: The server's system, for the path of a file that it has: separators become those of
                that system. Default: a text stays as it is.

        Raises:
            WorkflowError: there is no such key, or it stands for nothing, or for a missing node.
        """
        asked_by = f"input({key!r})"
        return self._set(dict.fromkeys(self._paths_of(key, asked_by), value), os, asked_by)

    def batch_inputs(
        self, values: Mapping[InputKey, object], *, os: Literal["nt", "posix"] | None = None
    ) -> Self:
        """Set all inputs that several keys stand for; see `input`."""
        return self._set(
            {
                path: value
                for key, value in values.items()
                for path in self._paths_of(key, f"batch_inputs({key!r})")
            },
            os,
            "batch_inputs",
        )

    def input_raw(
        self, path: str, value: object, *, os: Literal["nt", "posix"] | None = None
    ) -> Self:
        """Set what is at a path, whether or not a key stands for it; see `input`.

        Raises:
            WorkflowError: there is no such node, or the path has another form.
        """
        return self._set({path: value}, os, "input_raw")

    # --- checks, and the way to a server ----------------------------------------------------------

    def check_inputs(self) -> Self:
        """Check that every input key stands for something, and for nodes that there are.

        Raises:
            WorkflowError: it names the key, and the path.
        """
        for key, paths in self._inputs.items():
            if not paths:
                raise WorkflowError(f"the input key {key!r} stands for nothing")
            for path in paths:
                split_path(self._prompt, path, asked_by=f"the input key {key!r} ({path!r})")
        return self

    def check_outputs(self) -> Self:
        """Check that every output key stands for a node that there is.

        Raises:
            WorkflowError: it names all keys that do not.
        """
        wrong = [
            f"{key!r} (nothing)" if node_id is None else f"{key!r} (node {node_id!r}, missing)"
            for key, node_id in self._outputs.items()
            if node_id not in self._prompt
        ]
        if wrong:
            raise WorkflowError(f"output keys that stand for no node: {', '.join(wrong)}")
        return self

    def check(self) -> Self:
        """Check what can be checked without a server: all keys, all links, and for cycles.

        Raises:
            WorkflowError: it names the key, or the nodes and the input.
        """
        self.check_inputs().check_outputs()
        check_prompt(self._prompt)
        return self

    def to_workflow(self) -> Workflow:
        """Return a workflow with the outputs under their keys. `Comfy.run` does this itself.

        Raises:
            WorkflowError: an output key stands for no node, or a node to bypass is missing.
        """
        workflow = Workflow(self._prompt)
        for key, node_id in self.check_outputs()._outputs.items():
            workflow.output(key, node_id)
        return workflow.bypass(*self._bypassed)

    # --- parts ------------------------------------------------------------------------------------

    def _with(
        self,
        *,
        prompt: JSONObject | None = None,
        inputs: dict[str, tuple[str, ...]] | None = None,
        outputs: dict[str, str | None] | None = None,
        bypassed: tuple[str, ...] | None = None,
    ) -> Self:
        """Return a builder that differs. The parts are never changed, so that it may share them."""
        twin = copy.copy(self)
        twin._prompt = self._prompt if prompt is None else prompt
        twin._inputs = self._inputs if inputs is None else inputs
        twin._outputs = self._outputs if outputs is None else outputs
        twin._bypassed = self._bypassed if bypassed is None else bypassed
        return twin

    def _set(
        self, values: Mapping[str, object], os: Literal["nt", "posix"] | None, asked_by: str
    ) -> Self:
        prompt = dict(self._prompt)  # of which only the nodes that differ are made anew
        for path, value in values.items():
            if os is not None and isinstance(value, str):
                value = value.replace("/", "\\") if os == "nt" else value.replace("\\", "/")
            where = f"{asked_by}, {path!r}"
            place = split_path(prompt, path, asked_by=where)
            prompt[place[0]] = replace_value(prompt, place, value, asked_by=where)
        return self._with(prompt=prompt)

    def _paths_of(self, key: str, asked_by: str) -> tuple[str, ...]:
        paths = self._require_input(key, asked_by)
        if not paths:
            raise WorkflowError(
                f"{asked_by}: {key!r} stands for nothing yet; say for what with"
                f' set_input_node({key!r}, "<node>.inputs.<input>")'
            )
        return paths

    def _require_input(self, key: str, asked_by: str) -> tuple[str, ...]:
        if key not in self._inputs:
            raise _unknown_key(asked_by, "input", key, self._inputs)
        return self._inputs[key]

    def _map_input(
        self, key: str, before: tuple[str, ...], paths: tuple[str, ...], asked_by: str
    ) -> Self:
        self._require_input(key, asked_by)
        if not paths:
            raise WorkflowError(f'{asked_by}: no path is given; write "<node>.inputs.<input>"')
        return self._with(inputs={**self._inputs, key: tuple(dict.fromkeys((*before, *paths)))})

    def _map_output(self, key: str, node_id: str, asked_by: str) -> Self:
        if key not in self._outputs:
            raise _unknown_key(asked_by, "output", key, self._outputs)
        return self._with(outputs={**self._outputs, key: node_id})

    def _check_node(self, asked_by: str, node_id: str) -> str:
        if node_id not in self._prompt:
            raise unknown_node(self._prompt, node_id, asked_by=asked_by)
        return node_id

    def _check_paths(self, asked_by: str, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            node_id, part, name = split_path(self._prompt, path, asked_by=asked_by)
            node = self._prompt[node_id]
            if part == "inputs" and name not in node["inputs"]:
                known = ", ".join(node["inputs"]) or "none"
                raise WorkflowError(
                    f"{asked_by}: {name_node(node_id, node)} has no input {name!r}."
                    f"{did_you_mean(name, node['inputs'])} It has {known}. Of an input that is to"
                    " come, give the path to the raw method",
                    node_id=node_id,
                    input_name=name,
                )
        return paths


def _require_keys(what: str, keys: Iterable[str]) -> list[str]:
    if isinstance(keys, str):
        raise WorkflowError(f"{what} is one string, {keys!r}; write a tuple: ({keys!r},)")
    found = list(keys)
    if "" in found or len(set(found)) < len(found):
        raise WorkflowError(f"{what} has an empty key, or one twice: {', '.join(map(repr, found))}")
    return found


def _unknown_key(asked_by: str, what: str, key: str, known: Iterable[str]) -> WorkflowError:
    names = list(known)
    return WorkflowError(
        f"{asked_by}: there is no {what} key {key!r}.{did_you_mean(key, names)}"
        f" The {what} keys are {', '.join(names) or 'none'}"
    )


def _read_map(saved: JSONObject, name: str) -> Iterable[tuple[str, object]]:
    if not is_object(saved.get(name, {})):
        raise WorkflowError(f"the prompt builder's {name!r} is no JSON object")
    return as_object(saved.get(name)).items()


def _read_names(key: str, names: object) -> tuple[str, ...]:
    if names is None:
        return ()
    several = names if is_list(names) else [names]
    return tuple(dict.fromkeys(_read_name(key, name) for name in several))


def _read_name(key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise WorkflowError(f"in the prompt builder, {key!r} has {value!r} where a string belongs")
