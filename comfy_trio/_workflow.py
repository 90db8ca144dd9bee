"""A workflow: an API-format prompt, what to change in it, and which outputs to collect."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final, overload

from ._attachments import Attachments, uploads_into
from ._errors import WorkflowError
from ._find import find_node, find_nodes
from ._prompt import (
    TOO_DEEP,
    check_prompt,
    name_node,
    own_prompt,
    own_value,
    replace_value,
    split_path,
    unknown_node,
)
from ._prompt_json import write_json
from ._queue_time import expand_prompt
from ._structure_hash import structure_hash
from ._upload import make_attachment
from ._util import copy_json
from ._workflow_source import FORMAT, FORMAT_VERSION, read_content, read_json

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from ._graph import Graph
    from ._replies import FileSource
    from ._typed_node import Node
    from ._util import JSONObject
    from ._workflow_source import WorkflowSource


@final
class Workflow:
    """An API-format prompt that can be changed and run, any number of times.

    It owns a deep copy of what it is made from. The methods that change it return the workflow
    itself, so that they chain. Running it changes nothing: a seed of -1 stays -1, and each run
    draws its own.

    Example::

        workflow = (
            Workflow.from_file("txt2img.json")
            .set("6.inputs.text", "A misty forest")
            .batch_inputs("3", {"steps": 20, "cfg": 4.0, "seed": -1})
            .output("images:9")
        )
    """

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        """Make a workflow of a prompt.

        Args:
            prompt: In API format. Will be copied.

        Raises:
            WorkflowError: it is in another format; the message says which and what to do.
        """
        self._prompt = own_prompt(prompt)
        self._aliases: dict[str, str] = {}
        self._bypassed: dict[str, None] = {}
        self._attachments = Attachments()
        self._node_ids: Mapping[Node, str] = {}
        self._canvas: JSONObject | None = None
        self._drawn: JSONObject | None = None

    @classmethod
    def from_json(
        cls,
        content: Mapping[str, Any] | str | bytes,
        *,
        object_info: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make a workflow of JSON, as text or parsed: a prompt, a canvas, or of `to_json`.

        NaN and infinities in a text, which no server takes, become null.

        Args:
            content: The JSON.
            object_info: What the server declares of its nodes, as `Comfy.node.definitions` returns
                it; needed for a canvas alone. See also `Comfy.load`.

        Raises:
            WorkflowError: it is no JSON, or no workflow; or a canvas, without `object_info`.
        """
        return cls._from_source(read_json(content, "the workflow"), object_info)

    @classmethod
    def from_bytes(cls, content: bytes, *, object_info: Mapping[str, Any] | None = None) -> Self:
        """Make a workflow of a file's content; see `from_file`.

        Raises:
            WorkflowError: there is no workflow in it; or a canvas alone, without `object_info`.
        """
        return cls._from_source(read_content(content, "the workflow"), object_info)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, object_info: Mapping[str, Any] | None = None
    ) -> Self:
        """Make a workflow of a file: JSON, as in `from_json`, or a picture that ComfyUI saved.

        What it is, its content tells, not its name. Of a picture (PNG, WEBP or JPEG), the prompt
        that made it is taken, and the canvas is kept; see `canvas`.

        Args:
            path: The file.
            object_info: See `from_json`.

        Raises:
            OSError: the file cannot be read.
            WorkflowError: there is no workflow in it; or a canvas alone, without `object_info`.
        """
        return cls._from_source(read_content(Path(path).read_bytes(), str(path)), object_info)

    @classmethod
    def _from_source(cls, source: WorkflowSource, object_info: Mapping[str, Any] | None) -> Self:
        try:
            workflow = cls(source.to_prompt(object_info))
            if source.canvas is not None:
                workflow._canvas = copy_json(source.canvas)
                workflow._drawn = copy_json(workflow._prompt)
        except RecursionError:
            raise WorkflowError(f"{source.name} is {TOO_DEEP}") from None
        for alias, node_id in source.outputs.items():
            workflow.output(alias, node_id)
        return workflow.bypass(*source.bypassed)

    @classmethod
    def from_graph(cls, graph: Graph) -> Self:
        """Make a workflow of a graph of typed nodes, under the ids that these have in the graph.

        The result of a run knows the nodes themselves too: ``result[save]``.
        """
        workflow = cls(graph.to_prompt())
        workflow._aliases = dict(graph.aliases)
        workflow._node_ids = {node: node_id for node_id, node in graph.nodes.items()}
        return workflow

    def copy(self) -> Workflow:
        """Return a workflow that does the same and changes independently."""
        twin = Workflow(self._prompt)
        twin._aliases = dict(self._aliases)
        twin._bypassed = dict(self._bypassed)
        twin._attachments = self._attachments.copy()
        twin._node_ids = self._node_ids
        twin._canvas = self._canvas
        twin._drawn = self._drawn
        return twin

    def to_dict(self) -> JSONObject:
        """Return the prompt as it stands, as a copy. It has the bypassed nodes, too."""
        return copy_json(self._prompt)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return JSON from which `from_json` makes a workflow that does the same.

        It is the prompt in API format, which other programs read too, unless outputs are named or
        nodes bypassed: then it is ``{"comfy_trio": 1, "prompt": ..., "outputs": ..., "bypassed":
        ...}``. The canvas is not in it.

        Args:
            indent: How far to indent each level. Default: all in one line.

        Raises:
            WorkflowError: files are attached, or JSON does not have a value; it names the input.
        """
        if self._attachments:
            raise WorkflowError(
                "to_json(): files are attached, and what is in them is no part of a workflow;"
                " attach them after from_json()"
            )
        content = self._prompt
        if self._aliases or self._bypassed:
            content = {
                FORMAT: FORMAT_VERSION,
                "prompt": self._prompt,
                "outputs": self._aliases,
                "bypassed": list(self._bypassed),
            }
        return write_json(content, self._prompt, indent=indent)

    def resolved_prompt(self, object_info: Mapping[str, Any]) -> JSONObject:
        """Return the prompt as it is sent: links lead around the bypassed nodes, which are gone.

        Seeds of -1 are not drawn yet. Attached files have the names that are asked for, and not
        yet those that the server finds.

        Args:
            object_info: What the server declares of the nodes' classes; those that it does not
                have are missing.

        Raises:
            WorkflowError: a bypassed node feeds another, and its class is missing.
        """
        prompt = self.to_dict()
        if self._bypassed:
            # Programs that bypass nothing are spared the time that this takes to import.
            from ._bypass import bypass

            prompt = bypass(prompt, self._bypassed, object_info)
        self._attachments.name_in(prompt, {})
        return prompt

    @property
    def node_ids(self) -> Mapping[Node, str]:
        """The ids of the typed nodes that it was made of, if it was."""
        return self._node_ids

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs to collect: node id by alias (or by itself). Empty: every saving node."""
        return dict(self._aliases)

    @property
    def bypassed(self) -> tuple[str, ...]:
        """The ids of the bypassed nodes."""
        return tuple(self._bypassed)

    @property
    def canvas(self) -> JSONObject | None:
        """The workflow as it was drawn, if it was read from such a file or picture; a copy.

        It is sent along with a run as long as the prompt is the one that was read, so that
        ComfyUI opens the saved pictures as drawn. Once anything was changed or a seed was drawn,
        it is not: the picture would tell of another workflow than made it.
        """
        return copy_json(self._canvas)

    @property
    def structure_hash(self) -> str:
        """A SHA-256, in hexadecimal, of what the workflow is apart from its settings.

        It is the same whatever the numbers, texts, seeds and titles, the nodes' ids and order.
        It differs where a class, a link, a model file or a bypassed node does.
        """
        return structure_hash(self._prompt, self._bypassed)

    def __repr__(self) -> str:
        outputs = ", ".join(self._aliases) or "all outputs"
        return f"<Workflow of {len(self._prompt)} nodes, {outputs}>"

    def find(self, what: str) -> str:
        """Return the id of the one node that has this id, or else this title, or else this class.

        Example::

            workflow.input(workflow.find("Positive prompt"), "text", "A misty forest")

        Raises:
            WorkflowError: there is none, or more than one; the message lists the candidates.
        """
        return find_node(self._prompt, what)

    def find_all(
        self, *, title: str | None = None, class_type: str | None = None
    ) -> tuple[str, ...]:
        """Return the ids of the nodes that have this title and are of this class; perhaps none.

        Args:
            title: The title. Default: any.
            class_type: The class. Default: any.
        """
        return find_nodes(self._prompt, title=title, class_type=class_type)

    def set(self, path: str, value: object) -> Self:
        """Set one value by its path: ``"6.inputs.text"``, ``"6.class_type"``, ``"6._meta.title"``.

        All that follows ``.inputs.`` is the input's name, dots included. To link, give the source
        as ``[node id, slot]``.

        Raises:
            WorkflowError: there is no such node, or the path has another form.
        """
        asked_by = f"set({path!r})"
        node_id, part, name = place = split_path(self._prompt, path, asked_by=asked_by)
        self._prompt[node_id] = replace_value(self._prompt, place, value, asked_by=asked_by)
        if part == "inputs":
            self._attachments.detach(node_id, name)
        return self

    def input(self, node_id: str, name: str, value: object) -> Self:
        """Set one input of one node. To link, give the source as ``[node id, slot]``.

        Raises:
            WorkflowError: there is no such node.
        """
        self._node(node_id, f"input({node_id!r}, {name!r}, ...)")
        self._set_input(node_id, name, value)
        return self

    @overload
    def batch_inputs(self, node: str, inputs: Mapping[str, object], /) -> Self: ...
    @overload
    def batch_inputs(self, nodes: Mapping[str, Mapping[str, object]], /) -> Self: ...
    def batch_inputs(
        self,
        nodes: str | Mapping[str, Mapping[str, object]],
        inputs: Mapping[str, object] | None = None,
        /,
    ) -> Self:
        """Set several inputs: of one node, or of several (``{"3": {"steps": 20}, ...}``).

        Either all are set, or none.

        Raises:
            WorkflowError: there is no such node.
        """
        batch = {nodes: inputs or {}} if isinstance(nodes, str) else nodes
        copied = {
            node_id: {
                name: own_value(
                    value,
                    f"batch_inputs: input {name!r} of node {node_id}",
                    node_id=node_id,
                    input_name=name,
                )
                for name, value in dict(values).items()
            }
            for node_id, values in batch.items()
        }
        for node_id in copied:
            self._node(node_id, "batch_inputs")
        for node_id, values in copied.items():
            for name, value in values.items():
                self._set_input(node_id, name, value)
        return self

    def output(self, alias: str, node_id: str | None = None) -> Self:
        """Collect a node's output, under a name or its own id.

        Three forms: ``output("images", "9")``, ``output("images:9")`` and ``output("9")``.
        Once an output is named, the result holds the named ones only under their names; all are
        in its `nodes`. A string that is a node's id as a whole, like ``"12:3"``, means that node.

        Raises:
            WorkflowError: there is no such node, or the alias is another node's already.
        """
        asked_by = f"output({alias!r})" if node_id is None else f"output({alias!r}, {node_id!r})"
        if node_id is None:
            if alias in self._prompt:
                node_id = alias
            else:
                alias, separator, rest = alias.partition(":")
                node_id = rest if separator else alias
        if node_id not in self._prompt:
            error = unknown_node(self._prompt, node_id, asked_by=asked_by)
            if alias in self._prompt and alias != node_id:
                error.add_note(f"The alias comes first: output({node_id!r}, {alias!r})")
            raise error
        if not alias:
            raise WorkflowError(f"{asked_by}: the alias is empty", node_id=node_id)
        taken = self._aliases.get(alias, node_id)
        if taken != node_id:
            raise WorkflowError(
                f"{asked_by}: {alias!r} already stands for {name_node(taken, self._prompt[taken])}",
                node_id=node_id,
            )
        self._aliases[alias] = node_id
        return self

    def bypass(self, *node_ids: str) -> Self:
        """Leave nodes out when it is run, as *Bypass* in ComfyUI does.

        What such a node fed gets what comes in at the node's matching input instead; an input for
        which nothing does is left out.

        Raises:
            WorkflowError: there is no such node.
        """
        for node_id in node_ids:
            self._node(node_id, f"bypass({node_id!r})")
        self._bypassed.update(dict.fromkeys(node_ids))
        return self

    def reinstate(self, *node_ids: str) -> Self:
        """Undo `bypass`.

        Raises:
            WorkflowError: there is no such node.
        """
        for node_id in node_ids:
            self._node(node_id, f"reinstate({node_id!r})")
        for node_id in node_ids:
            self._bypassed.pop(node_id, None)
        return self

    def attach_image(
        self,
        node_id: str,
        input_name: str,
        source: FileSource,
        *,
        filename: str | None = None,
        subfolder: str = "",
        overwrite: bool = False,
    ) -> Self:
        """Upload a picture, or any other file, when it is run, and set an input to it.

        Each run uploads it before anything else is sent, and in the prompt that is sent the input
        has the name that the server gave it. The workflow stays as it is. Setting the input later
        undoes it. A file that several inputs get is uploaded once.

        Args:
            node_id: The node, such as a LoadImage.
            input_name: Its input, such as ``image``.
            source: The file's content, or the path of a file here, which is read with each run.
            filename: Its name for the server. Default: that of the path; of a picture's content,
                one that follows from it.
            subfolder: Where in the server's folder ``input``. Default: its top.
            overwrite: Whether to take the place of another file of this name. Default: the server
                finds another name, unless the content is the same.

        Raises:
            WorkflowError: there is no such node.
            FileError: the file has no name.
        """
        self._node(node_id, f"attach_image({node_id!r}, {input_name!r}, ...)")
        upload = make_attachment(source, filename, subfolder=subfolder, overwrite=overwrite)
        self._attachments.attach(node_id, input_name, upload)
        return self

    def attach_folder(
        self,
        subfolder: str,
        files: Mapping[str, FileSource] | Iterable[str | os.PathLike[str]],
        *,
        overwrite: bool = False,
    ) -> Self:
        """Upload files into a folder when it is run, for nodes that read all there is in one.

        Args:
            subfolder: Where in the server's folder ``input``.
            files: Paths of files here, or contents and paths by their names for the server. A
                path is read with each run.
            overwrite: Whether to take the place of other files of these names. Default: the server
                finds other names, unless the content is the same.

        Raises:
            FileError: a file has no name.
            WorkflowError: `files` is a single path.
        """
        self._attachments.add(uploads_into(subfolder, files, overwrite=overwrite))
        return self

    def expand(
        self,
        object_info: Mapping[str, Any],
        *,
        chance: random.Random | None = None,
        now: datetime | None = None,
    ) -> Self:
        """Do to the texts what the browser does when it queues a workflow, and the server does not.

        Of dynamic prompts, ``a {red|green} boat // or any``, one alternative is chosen and comments
        are dropped, in the inputs that are declared to have them. In the names of files to save,
        ``%date:yyyy-MM-dd%`` and ``%KSampler.seed%`` are filled in; what nothing fits stays. To
        choose anew for each run, expand a `copy`.

        Args:
            object_info: What the server declares of its nodes.
            chance: What the choices are drawn from. Default: chance itself.
            now: The date for file names. Default: the local time.
        """
        expand_prompt(
            self._prompt,
            object_info,
            chance or random.SystemRandom(),
            now or datetime.now(),
        )
        return self

    def check(self) -> Self:
        """Check what can be checked without a server.

        Every link's target exists, the nodes form no cycle, and the outputs to collect are not
        those of bypassed nodes.

        Raises:
            WorkflowError: it names the node and the input.
        """
        check_prompt(self._prompt)
        self._check_outputs()
        return self

    def _check_outputs(self) -> None:
        for alias, node_id in self._aliases.items():
            if node_id in self._bypassed:
                raise WorkflowError(
                    f"output {alias!r} is that of {name_node(node_id, self._prompt[node_id])},"
                    f" which is bypassed: reinstate({node_id!r}), or collect another output",
                    node_id=node_id,
                )

    def _set_input(self, node_id: str, name: str, value: object) -> None:
        asked_by = f"input({node_id!r}, {name!r}, ...)"
        owned = own_value(value, asked_by, node_id=node_id, input_name=name)
        self._prompt[node_id]["inputs"][name] = owned
        self._attachments.detach(node_id, name)

    def _canvas_of(self, prompt: JSONObject) -> JSONObject | None:
        """Return the canvas if a prompt that is about to be sent is the one drawn there."""
        return self._canvas if prompt == self._drawn else None

    def _node(self, node_id: str, asked_by: str) -> JSONObject:
        if node_id not in self._prompt:
            raise unknown_node(self._prompt, node_id, asked_by=asked_by)
        node: JSONObject = self._prompt[node_id]
        return node
