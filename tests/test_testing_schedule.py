from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfy_trio.testing._cache import CacheEntry, OutputCache
from comfy_trio.testing._schedule import NodeNotFound, Schedule, is_link

if TYPE_CHECKING:
    from comfy_trio._util import JSONObject

ENTRY = CacheEntry([["value"]], None)


def graph(**links: str) -> JSONObject:
    """``graph(s="ab")``: node s has links to a and b; capital letters are output nodes."""
    return {
        node_id: {"class_type": "C", "inputs": {f"in_{up}": [up, 0] for up in upstream}}
        for node_id, upstream in links.items()
    }


def order(prompt: JSONObject, *targets: str, cached: str = "") -> str:
    schedule = Schedule(prompt, is_output=str.isupper, is_cached=lambda node_id: node_id in cached)
    for target in targets:
        schedule.add(target)
    picked = ""
    while schedule:
        node_id = schedule.pick()
        if node_id is None:
            return f"{picked}?{schedule.first()}"
        schedule.complete(node_id)
        picked += node_id
    return picked


def test_only_what_a_target_needs_runs() -> None:
    assert order(graph(a="", b="a", c="", X="b", Y="c"), "X") == "abX"


def test_an_output_goes_first_then_what_feeds_one() -> None:
    assert order(graph(a="", b="a", X="b", Z=""), "X", "Z") == "ZabX"
    assert order(graph(a="", b="", c="b", d="c", X="d", e="a", Y="a"), "X", "Y") == "aYbcdX"


def test_a_node_that_is_needed_twice_runs_once() -> None:
    assert order(graph(a="", b="a", c="a", X="bc"), "X") == "acbX"
    assert order(graph(a="", X="a", Y="a"), "X", "Y") == "aXY"


def test_cached_nodes_are_left_out_unless_they_are_targets() -> None:
    assert order(graph(a="", b="a", X="b"), "X", cached="ab") == "X"
    assert order(graph(a="", b="a", X="b"), "X", cached="abX") == "X"
    # A cached target pulls its uncached ancestors in, as in the real server.
    assert order(graph(a="", b="a", X="b"), "X", cached="X") == "abX"


def test_a_circle_is_blamed_on_the_first() -> None:
    assert order(graph(a="b", b="a", X="b"), "X") == "?X"


def test_a_link_to_nowhere() -> None:
    with pytest.raises(NodeNotFound, match=r"^Node z not found$"):
        order(graph(X="z"), "X")


@pytest.mark.parametrize("value", [["1", 0], ["1", 0.0], ["", True]])
def test_links(value: object) -> None:
    assert is_link(value)


@pytest.mark.parametrize("value", [["1"], ["1", "0"], [1, 0], "10", ["1", 0, 0], None])
def test_what_is_no_link(value: object) -> None:
    assert not is_link(value)


def cached_after(first: JSONObject, second: JSONObject, fingerprint: object = None) -> str:
    """The nodes of `second` whose outputs are at hand after all of `first` have run."""
    cache = OutputCache()
    cache.set_prompt(first, lambda _: fingerprint)
    for node_id in first:
        cache.put(node_id, ENTRY)
    cache.set_prompt(second, lambda _: fingerprint)
    return "".join(node_id for node_id in second if cache.get(node_id) is not None)


def test_the_same_again_is_cached_whatever_the_ids() -> None:
    assert cached_after(graph(a="", b="a"), graph(a="", b="a")) == "ab"
    assert cached_after(graph(a="", b="a"), {"z": {"class_type": "C", "inputs": {}}}) == "z"


def test_a_change_is_passed_down() -> None:
    changed = graph(a="", b="a", c="")
    changed["a"]["inputs"]["seed"] = 1
    assert cached_after(graph(a="", b="a", c=""), changed) == "c"


def test_class_slot_and_fingerprint_count() -> None:
    other = graph(a="", b="a")
    other["b"]["class_type"] = "D"
    assert cached_after(graph(a="", b="a"), other) == "a"
    other = graph(a="", b="a")
    other["b"]["inputs"]["in_a"] = ["a", 1]
    assert cached_after(graph(a="", b="a"), other) == "a"
    assert cached_after(graph(a=""), graph(a=""), fingerprint=3) == "a"
    assert cached_after(graph(a=""), graph(a=""), fingerprint=float("nan")) == ""


def test_only_the_latest_prompt_is_kept() -> None:
    cache = OutputCache()
    for seed in range(3):
        prompt: JSONObject = {"a": {"class_type": "C", "inputs": {"seed": seed}}}
        cache.set_prompt(prompt, lambda _: None)
        cache.put("a", ENTRY)
    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0
    assert cache.get("a") is None
    assert cache.node_ids() == ["a"]


def test_long_chains_and_circles_have_signatures() -> None:
    chain: JSONObject = {"0": {"class_type": "C", "inputs": {}}}
    for number in range(1, 3000):
        chain[str(number)] = {"class_type": "C", "inputs": {"x": [str(number - 1), 0]}}
    reversed_chain = dict(reversed(chain.items()))
    cache = OutputCache()
    cache.set_prompt(reversed_chain, lambda _: None)
    assert len(cache.node_ids()) == 3000
    cache.set_prompt(graph(a="b", b="a", c="cz"), lambda _: None)
    assert sorted(cache.node_ids()) == ["a", "b", "c"]
