"""What workflows cost, of 500, 1,000 and 2,000 nodes side by side: ``nox -s bench_workflows``.

Of each number there is also the growth from the first size to the last (4.0 is in proportion), and
how often the barest that one can do with the canvas file, `json.loads`, goes into it. Times are
those of the processor, and all that is measured takes turns: noise is the same to all of it.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs
from templates import STUBS, canvas, object_info, prompts

from codegen.transpile import transpile
from codegen.workflow_module import generate_workflow_module
from comfy_trio import Workflow, validate
from comfy_trio._canvas_prompt import convert_canvas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = "0.27.0"
SIZES = (500, 1000, 2000)
RUNS = 7
BYPASSED = 10
"""Of so many nodes one is bypassed."""
INSIDE = 10
"""How many nodes a subgraph has."""
TEXT = 50 * 10**6
"""How many characters a large canvas has."""


# --- canvases -------------------------------------------------------------------------------------


def slot(name: str, link: int | None) -> dict[str, Any]:
    return {"name": name, "type": "IMAGE", "link": link}


def node(
    number: int, class_type: str, link: int | None = None, *, mode: int = 0, values: Any = ()
) -> dict[str, Any]:
    """A node on a canvas, which takes at most one picture and gives one."""
    name = "images" if class_type in {"SaveImage", "PreviewImage"} else "image"
    return {
        "id": number,
        "type": class_type,
        "pos": [number * 10, 0],
        "size": [210, 46],
        "flags": {},
        "order": number,
        "mode": mode,
        "inputs": [] if class_type == "EmptyImage" else [slot(name, link)],
        "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": []}],
        "properties": {"Node name for S&R": class_type},
        "widgets_values": list(values),
    }


EMPTY = node(1, "EmptyImage", values=(64, 64, 1, 0))


def inner(number: int, link: int | None) -> dict[str, Any]:
    """A node between others: most turn colors round, some scale, are reroutes, or bypassed."""
    match number % BYPASSED:
        case 3:
            return node(number, "ImageInvert", link, mode=4)
        case 5:
            return node(number, "Reroute", link)
        case 7:
            return node(number, "ImageScaleBy", link, values=("nearest-exact", 0.5))
        case _:
            return node(number, "ImageInvert", link)


def chain(size: int) -> dict[str, Any]:
    """A canvas of nodes in a row."""
    row = [inner(number, number - 1) for number in range(2, size)]
    return {
        "last_node_id": size,
        "nodes": [EMPTY, *row, node(size, "SaveImage", size - 1, values=("chain",))],
        "links": [[number, number, 0, number + 1, 0, "IMAGE"] for number in range(1, size)],
        "version": 0.4,
    }


def wide(size: int) -> dict[str, Any]:
    """A canvas of instances of one subgraph, side by side."""
    numbers = range(2, 2 + size // INSIDE)
    inside = range(101, 101 + INSIDE)
    links = [
        {
            "id": number,
            "origin_id": number - 1 if number > inside[0] else -10,
            "origin_slot": 0,
            "target_id": number,
            "target_slot": 0,
            "type": "IMAGE",
        }
        for number in inside
    ]
    definition = {
        "id": "subgraph",
        "name": "Steps",
        "inputs": [{"name": "image", "type": "IMAGE", "linkIds": [inside[0]]}],
        "outputs": [],
        "nodes": [
            *(inner(number, number) for number in inside[:-1]),
            node(inside[-1], "PreviewImage", inside[-1]),
        ],
        "links": links,
    }
    return {
        "last_node_id": inside[-1] + size,
        "nodes": [EMPTY, *(node(number + 1000, "subgraph", number) for number in numbers)],
        "links": [[number, 1, 0, number + 1000, 0, "IMAGE"] for number in numbers],
        "definitions": {"subgraphs": [definition]},
        "version": 0.4,
    }


def largest_template() -> dict[str, Any]:
    """Of the official templates the one whose prompt has most nodes."""
    found = prompts(VERSION)
    return canvas(max(found, key=lambda name: len(found[name])), VERSION)


# --- what is measured -----------------------------------------------------------------------------


@attrs.frozen
class Subject:
    """A canvas, and what is made of it before the clock starts."""

    canvas: dict[str, Any]
    canvas_text: str
    prompt: dict[str, Any]
    prompt_text: str
    bypassed: Workflow

    @classmethod
    def of(cls, drawn: dict[str, Any]) -> Subject:
        prompt = convert_canvas(drawn, object_info(VERSION)).prompt
        bypassed = Workflow(prompt).bypass(*list(prompt)[1::BYPASSED])
        return cls(drawn, json.dumps(drawn), prompt, json.dumps(prompt), bypassed)


def measures() -> dict[str, Callable[[Subject], object]]:
    """What is done with each subject; the first is the barest."""
    declared = object_info(VERSION)
    sys.path.append(str(STUBS))
    package = importlib.import_module("comfy_nodes")
    return {
        "json.loads, of the canvas": lambda subject: json.loads(subject.canvas_text),
        "json.loads, of the prompt": lambda subject: json.loads(subject.prompt_text),
        "Workflow.from_json, of the canvas": lambda subject: Workflow.from_json(
            subject.canvas_text, object_info=declared
        ),
        "  of which conversion": lambda subject: convert_canvas(subject.canvas, declared),
        "Workflow.from_json, of the prompt": lambda subject: Workflow.from_json(
            subject.prompt_text
        ),
        "validate": lambda subject: validate(subject.prompt, declared),
        "Workflow.check": lambda subject: subject.bypassed.check(),
        "structure_hash": lambda subject: subject.bypassed.structure_hash,
        "resolved_prompt, one in 10 bypassed": lambda subject: subject.bypassed.resolved_prompt(
            declared
        ),
        "transpile": lambda subject: transpile(subject.prompt, package, name="bench"),
        "module of the workflow": lambda subject: generate_workflow_module(
            subject.prompt, declared, name="bench", generator_version="0", server_version=VERSION
        ),
    }


def timed(subjects: list[Subject], runs: int) -> Iterator[tuple[str, list[float]]]:
    """Yield what was measured, with the median for each subject in milliseconds."""
    todo = measures()
    times: dict[str, list[list[float]]] = {what: [[] for _ in subjects] for what in todo}
    for attempt in range(runs + 1):
        for what, measured in todo.items():
            for number, subject in enumerate(subjects):
                gc.collect()  # or else one pays for what another left
                start = time.process_time()
                measured(subject)
                if attempt:  # the first one warms up
                    times[what][number].append(1000 * (time.process_time() - start))
    for what, each in times.items():
        yield what, [statistics.median(row) for row in each]


# --- tables ---------------------------------------------------------------------------------------


def print_sizes(title: str, shape: Callable[[int], dict[str, Any]], runs: int) -> None:
    print(f"\n{title:<40}" + "".join(f"{size:>9}" for size in SIZES) + "  ms  growth   bare")
    bare = 0.0
    for what, row in timed([Subject.of(shape(size)) for size in SIZES], runs):
        bare = bare or row[-1]
        cells = "".join(f"{each:9.2f}" for each in row)
        print(f"{what:<40}{cells}      {row[-1] / row[0]:6.1f} {row[-1] / bare:6.1f}", flush=True)


def print_template(runs: int) -> None:
    subject = Subject.of(largest_template())
    print(f"{f'the largest template, {len(subject.prompt)} nodes':<40}{'':9}  ms    bare")
    bare = 0.0
    for what, [each] in timed([subject], runs):
        bare = bare or each
        print(f"{what:<40}{each:9.2f}      {each / bare:6.1f}", flush=True)


# --- sizes that nobody has ------------------------------------------------------------------------


def with_long_notes() -> Subject:
    """A chain of 2,000 nodes, and notes without end."""
    drawn = chain(SIZES[-1])
    notes = (
        {"id": f"note{number}", "type": "Note", "widgets_values": ["x" * 1000]}
        for number in range(TEXT // 1000)
    )
    drawn["nodes"].extend(notes)
    return Subject.of(drawn)


HUGE: dict[str, Callable[[], Subject]] = {
    "a chain of 20,000 nodes": lambda: Subject.of(chain(20_000)),
    f"a canvas of {TEXT // 10**6} MB, mostly notes": with_long_notes,
}


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def measure_huge(title: str, what: str) -> None:
    """Print the milliseconds that something takes, and the MiB of the whole process."""
    subject, measured = HUGE[title](), measures()[what]
    start = time.process_time()
    measured(subject)
    print(1000 * (time.process_time() - start), peak())


def print_huge(title: str) -> None:
    print(f"\n{title + ', once':<40}{'ms':>9}{'MiB, all':>9}")
    for what in measures():
        command = [sys.executable, __file__, "--huge", title, what]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, memory = map(float, done.stdout.split())
        print(f"{what:<40}{taken:9.0f}{memory:9.0f}", flush=True)


def main(runs: int) -> None:
    """Print the tables."""
    print_template(runs)
    print_sizes("a chain of nodes", chain, runs)
    print_sizes(f"instances of a subgraph of {INSIDE} nodes", wide, runs)
    for title in HUGE:
        print_huge(title)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how often each is measured")
    parser.add_argument("--huge", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.huge:
        measure_huge(*options.huge)
    else:
        main(options.runs)
