"""What workflows cost, of 2,000 nodes beside 500, and beside `json.loads` of the canvas file.

Times are those of the processor, and all that is measured takes turns.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs
from templates import STUBS, canvas, object_info, prompts

from codegen.transpile import transpile
from codegen.workflow_module import generate_workflow_module
from comfy_trio import Workflow, validate
from comfy_trio._canvas_prompt import convert_canvas

from .measuring import output_of, peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from .measuring import Report

VERSION = "0.27.0"
SIZES = (500, 2000)
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


def timed(subjects: list[Subject], runs: int) -> dict[str, list[list[float]]]:
    """The milliseconds that each measure took, for each subject, by round."""
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
    return times


# --- rows -----------------------------------------------------------------------------------------


def compare_sizes(report: Report, title: str, shape: Callable[[int], dict[str, Any]]) -> None:
    """How the times grow with the size."""
    few, many = (report.scaled(size, least=20 * (number + 1)) for number, size in enumerate(SIZES))
    report.title(title, f"{many:,}", f"{few:,}")
    times = timed([Subject.of(shape(few)), Subject.of(shape(many))], report.scaled(RUNS))
    for what, (small, large) in times.items():
        report.add(what, large, small, "ms", f"{many / few:.0f}: in proportion")


def compare_template(report: Report) -> None:
    """What is done with the largest template, beside reading it as JSON."""
    subject = Subject.of(largest_template())
    title = f"the largest template, {len(subject.prompt)} nodes"
    report.title(title, "comfy_trio", "json.loads")
    (_, [bare]), *others = timed([subject], report.scaled(RUNS)).items()
    for what, [ours] in others:
        report.add(f"{what}, template", ours, bare, "ms")


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


def part(title: str, what: str) -> None:
    """Print the milliseconds that something takes once, and the MiB of the whole process."""
    subject, measured = HUGE[title](), measures()[what]
    start = time.process_time()
    measured(subject)
    print(1000 * (time.process_time() - start), peak_memory())


def compare_huge(report: Report, title: str) -> None:
    """Sizes that nobody has, once each, beside `json.loads`."""
    report.title(f"{title}, once", "comfy_trio", "json.loads")
    first, *others = measures()
    bare, bare_memory = output_of("workflows", title, first)
    for what in others:
        taken, memory = output_of("workflows", title, what)
        report.add(f"{what}, huge", [taken], [bare], "ms")
        report.add("  memory of the process", [memory], [bare_memory], "MiB")


def measure(report: Report) -> None:
    """Reading, converting, judging and generating."""
    compare_template(report)
    compare_sizes(report, "a chain of nodes", chain)
    compare_sizes(report, f"instances of a subgraph of {INSIDE} nodes", wide)
    if report.scale == 1:
        for title in HUGE:
            compare_huge(report, title)
