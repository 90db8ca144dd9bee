"""Texts as the browser queues them: dynamic prompts, and placeholders in file names."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pytest

from comfy_trio import Workflow
from comfy_trio._queue_time import choose, fill_in, format_date, nodes_by_name

NOW = datetime(2026, 3, 4, 15, 6, 7)


class First(random.Random):
    """Chance that always takes the first; `Last` the last."""

    def choice(self, seq: Any) -> Any:
        return seq[0]


class Last(First):
    def choice(self, seq: Any) -> Any:
        return seq[-1]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("", "", ""),
        ("plain", "plain", "plain"),
        ("a {red|green} boat", "a red boat", "a green boat"),
        ("{a|b}{c|d}", "ac", "bd"),
        ("{|never}", "", "never"),
        ("{one}", "one", "one"),
        ("{a|{b|c}} d", "a d", "c d"),
        ("{{a|b}|c}", "a", "c"),
        (r"\{a\|b\}", "{a|b}", "{a|b}"),
        (r"{a\}b|c\|d}", "a}b", "c|d"),
        (r"back\slash\\", r"back\slash\\", r"back\slash\\"),
        ("open {a|b", "open a", "open b"),
        ("closed } here", "closed } here", "closed } here"),
        ("a | b", "a | b", "a | b"),
        ("a // comment {x|y}\nb", "a \nb", "a \nb"),
        ("a /* {x\n|y} */ b", "a  b", "a  b"),
        ("{a // x|y\n|b}", "a \n", "b"),
        ("trailing \\", "trailing \\", "trailing \\"),
    ],
)
def test_dynamic_prompts(text: str, first: str, last: str) -> None:
    assert choose(text, First()) == first
    assert choose(text, Last()) == last


def test_each_alternative_has_its_chance() -> None:
    chance = random.Random(1)
    assert {choose("{a|b|{c|d}}", chance) for _ in range(200)} == {*"abcd"}


def test_choices_nested_too_deep_for_recursion() -> None:
    depth = 20_000
    assert choose("{" * depth + "x" + "}" * depth, First()) == "x"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd", "2026-03-04"),
        ("yy/M/d", "26/3/4"),
        ("hh:mm:ss", "15:06:07"),
        ("h-m-s", "15-6-7"),
        ("yyy", "yyy"),
        ("", ""),
    ],
)
def test_dates(pattern: str, expected: str) -> None:
    assert format_date(pattern, NOW) == expected


PROMPT: dict[str, Any] = {
    "1": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 5,
            "cfg": 8.0,
            "denoise": 0.5,
            "model": ["2", 0],
            "on": True,
            "no": None,
        },
    },
    "2": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "sub/a:b.safetensors"},
        "_meta": {"title": "Mine"},
    },
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%KSampler.seed%", "5"),
        ("%KSampler.cfg%_%KSampler.denoise%", "8_0.5"),
        ("%KSampler.on%%KSampler.no%.", "true."),
        ("%Mine.ckpt_name%", "sub_a_b.safetensors"),
        ("%date:yyyy%/%date:MM%", "2026/03"),
        ("%KSampler.model%", "%KSampler.model%"),
        ("%KSampler.nope% %Nobody.x% %width% %year%", "%KSampler.nope% %Nobody.x% %width% %year%"),
        ("100%", "100%"),
        ("a.b%c.d", "a.b%c.d"),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    assert fill_in(text, nodes_by_name(PROMPT), NOW) == expected


def test_a_workflow_is_expanded_where_it_is_declared() -> None:
    text = ["STRING", {"multiline": True, "dynamicPrompts": True}]
    object_info: dict[str, Any] = {
        "Encode": {"input": {"required": {"text": text, "clip": ["CLIP"]}}},
        "Save": {"input": {"required": {"filename_prefix": ["STRING", {}]}}},
    }
    workflow = Workflow(
        {
            "1": {"class_type": "Encode", "inputs": {"text": "{a|b}", "other": "{a|b}"}},
            "2": {"class_type": "Encode", "inputs": {"text": ["1", 0]}},
            "3": {"class_type": "Save", "inputs": {"filename_prefix": "%Encode.text%_%date:yy%"}},
            "4": {"class_type": "Unknown", "inputs": {"text": "{a|b}"}},
        }
    )
    expanded = workflow.copy().expand(object_info, chance=First(), now=NOW).to_dict()
    assert expanded["1"]["inputs"] == {"text": "a", "other": "{a|b}"}
    assert expanded["2"]["inputs"] == {"text": ["1", 0]}
    assert expanded["3"]["inputs"] == {"filename_prefix": "a_26"}
    assert expanded["4"]["inputs"] == {"text": "{a|b}"}
    assert workflow.to_dict()["1"]["inputs"]["text"] == "{a|b}"
    assert workflow.copy().expand(object_info).to_dict()["1"]["inputs"]["text"] in {"a", "b"}
