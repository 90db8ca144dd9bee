"""What nodes were seen to show, because `/object_info` does not tell: from a server's history.

Only the shape is learned: which keys there are, and what kind of values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .shapes import Shape, dump, infer, load, merge
from .values import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

LEARNED = "learned.json"
"""The file in a generated package that keeps the shapes, for the next time it is generated."""


def learn(history: Mapping[str, object], *, known: Collection[str] = ()) -> dict[str, Shape]:
    """Return the shapes of what nodes showed in the jobs of a history, by class type.

    Args:
        history: The reply to ``GET /history``. What does not look like a job is passed over.
        known: Classes of which nothing has to be learned.
    """
    shapes: dict[str, Shape] = {}
    for class_type, output in _outputs(history):
        if class_type not in known:
            seen = infer(output)
            if seen.keys is not None:
                shapes[class_type] = merge(shapes.get(class_type, Shape()), seen)
    return dict(sorted(shapes.items()))


def _outputs(history: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what each node of each job showed, and the node's class."""
    for entry in history.values():
        job = as_object(entry)
        prompt = as_list(job.get("prompt"))
        # [number, prompt id, prompt, extra data, outputs] (execution.py of ComfyUI, `PromptQueue`)
        nodes = as_object(prompt[2] if len(prompt) > 2 else None)
        for node_id, output in as_object(job.get("outputs")).items():
            # A node that is not in the prompt is one that the server made to expand another.
            class_type = as_object(nodes.get(node_id)).get("class_type")
            if isinstance(class_type, str):
                yield class_type, output


def merge_learned(*learned: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return what was learned in several places."""
    merged: dict[str, Shape] = {}
    for shapes in learned:
        for class_type, shape in shapes.items():
            merged[class_type] = merge(merged.get(class_type, Shape()), shape)
    return dict(sorted(merged.items()))


def dump_learned(learned: Mapping[str, Shape]) -> str:
    """Return the text of the file that keeps what was learned."""
    shapes = {class_type: dump(shape) for class_type, shape in learned.items()}
    return json.dumps(shapes, indent=2, sort_keys=True) + "\n"


def load_learned(text: str) -> dict[str, Shape]:
    """Return what `dump_learned` made a file's text of.

    Raises:
        ValueError: it is not such a text.
    """
    return {class_type: load(shape) for class_type, shape in as_object(json.loads(text)).items()}
