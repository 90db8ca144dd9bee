"""From a prompt to a script: Python that makes the same prompt of typed nodes, and runs it.

What is in a prompt gets into source as literals, or as names that followed the rules for names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard, final, get_args

import attrs

from comfy_trio import Graph, WorkflowError
from comfy_trio._graph import sources_of, walk
from comfy_trio._graph_reader import class_finder
from comfy_trio._prompt import name_node, title_of
from comfy_trio.graph import OutputNode, UnknownNode
from comfy_trio.types import ImagesOutput

from .layout import Bracket, Keyword, docstring, lay_out, quote
from .script_names import Names, default_title, is_default, wanted_name
from .script_nodes import NodeWriter, is_same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from comfy_trio.graph import Node

    from .layout import Doc

_MARGIN = " " * 4


@final
@attrs.frozen
class Script:
    """What became of a prompt.

    Args:
        source: Of the script.
        notes: What a person should know of it: nodes without a class, and what is not as it was.
    """

    source: str
    notes: tuple[str, ...]


def transpile(
    prompt: Mapping[str, Any], package: ModuleType, *, name: str, renumber: bool = False
) -> Script:
    """Return a script that makes the prompt: ids, classes and inputs are the same.

    Of titles it has those that a person gave. It is the same for the same prompt, and passes mypy
    and pyright, both strict.

    Args:
        prompt: In API format.
        package: The generated package whose classes it uses.
        name: What its docstring calls the prompt.
        renumber: Whether nodes get new ids, for which nothing needs to be written. What no output
            needs, and thus no server runs, is left out.

    Raises:
        WorkflowError: it is no such prompt, a link leads nowhere, or there is a cycle; or, with
            `renumber`, there is no node that a server would run it for.
    """
    graph = Graph.from_prompt(prompt, package)
    nodes = list(walk(_sinks(graph)))
    notes = list(_differences(prompt, graph.to_prompt()))
    roots: list[OutputNode[Any]] = []
    if renumber:
        roots = _roots(nodes)
        kept = set(walk(roots))
        notes += [
            f"{name_node(node_id, prompt[node_id])} is left out: no output needs it"
            for node_id, node in graph.nodes.items()
            if node not in kept
        ]
        nodes = [node for node in nodes if node in kept]
    names = Names(package)
    names.import_name("comfy_trio", "Graph")
    names.import_name("comfy_trio", "open_comfy")
    names.import_module("trio")
    writer = NodeWriter(names)
    ids = {node: node_id for node_id, node in graph.nodes.items()}
    find_class = class_finder(package)
    lines: list[str] = []
    for node in nodes:
        node_id = ids[node]
        node_class = find_class(node.class_type)
        if isinstance(node, UnknownNode):
            reason = (
                f"{package.__name__} has no class for it"
                if node_class is None
                else "its inputs are not what its class takes"
            )
            lines.append(f"# An UnknownNode, as {reason}.")
            notes.append(f"{name_node(node_id, prompt[node_id])} is an UnknownNode: {reason}")
        title, default = title_of(prompt[node_id]), default_title(node_class, node.class_type)
        if is_default(title, default, node.class_type):
            title = ""
        variable = names.variable(wanted_name(title, default, node.class_type))
        lines.append(writer.statement(node, variable, title))
    lines.append("\n" + _graph(graph, roots, writer.variables))
    blocks = [
        f"{docstring(f'{name}, as Python.', indent=0)}\n\n{names.source()}\n\n" + "\n".join(lines),
        "\n".join(_main(nodes, writer.variables)),
        f'if __name__ == "__main__":\n{_MARGIN}trio.run(main)\n',
    ]
    return Script("\n\n\n".join(blocks), tuple(notes))


def _graph(graph: Graph, roots: Sequence[OutputNode[Any]], variables: Mapping[Node, str]) -> str:
    made: Doc
    if roots:
        made = Bracket("Graph(", tuple(variables[root] for root in roots))
    else:
        items = (
            Keyword(f"{quote(node_id)}: ", variables[node]) for node_id, node in graph.nodes.items()
        )
        made = Bracket("Graph.from_nodes(", (Bracket("{", tuple(items)),))
    start = "graph = "
    return start + lay_out(made, indent=0, before=len(start))


def _main(nodes: Sequence[Node], variables: Mapping[Node, str]) -> Iterator[str]:
    """Yield the lines of the function that runs the graph: pictures are downloaded."""
    yield "async def main() -> None:"
    yield f"{_MARGIN}async with open_comfy() as comfy:"
    yield f"{_MARGIN * 2}result = await comfy.run(graph)"
    pictures = [variables[node] for node in nodes if _shows_files(node)]
    for variable in pictures:
        yield f'{_MARGIN * 2}for file in result[{variable}]["images"]:'
        yield f'{_MARGIN * 3}print(await comfy.file.download(file, "out/"))'
    if not pictures:
        yield f"{_MARGIN * 2}for node_id, output in result.items():"
        yield f"{_MARGIN * 3}print(node_id, output)"


def _shows_files(node: Node) -> bool:
    bases: tuple[object, ...] = getattr(type(node), "__orig_bases__", ())
    return isinstance(node, OutputNode) and any(ImagesOutput in get_args(base) for base in bases)


# --- order ----------------------------------------------------------------------------------------


def _sinks(graph: Graph) -> list[Node]:
    """Return the nodes that no other one needs, in the graph's order."""
    needed = {source for node in graph.nodes.values() for source in sources_of(node)}
    return [node for node in graph.nodes.values() if node not in needed]


def _is_output(node: Node) -> TypeGuard[OutputNode[Any]]:
    return isinstance(node, OutputNode)


def _roots(nodes: Sequence[Node]) -> list[OutputNode[Any]]:
    """Return the output nodes that no other output node needs.

    Args:
        nodes: Each after those that it needs.
    """
    roots: list[OutputNode[Any]] = []
    needed: set[Node] = set()
    for node in reversed(nodes):
        if node not in needed and _is_output(node):
            roots.append(node)
            needed.add(node)
        if node in needed:
            needed.update(sources_of(node))
    if not roots:
        raise WorkflowError(
            "no node here is an output node, for which a server would run the others;"
            " only with the ids as they are can all be kept"
        )
    return roots[::-1]


def _differences(prompt: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not come back as it was."""
    for node_id, node in prompt.items():
        inputs = again[node_id]["inputs"]
        for input_name, value in node["inputs"].items():
            if input_name not in inputs or not is_same(value, inputs[input_name]):
                yield (
                    f"{name_node(node_id, node)}: input {input_name!r} is a list that is no link,"
                    ' and will be {"__value__": [...]}, as servers read lists'
                )
