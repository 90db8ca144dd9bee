"""What releases can do, and what servers call their versions."""

from __future__ import annotations

import attrs
import pytest

from comfy_trio._capabilities import SINCE, Capabilities, Release, flags_of, parse_release

VERSIONS: list[tuple[object, Release | None]] = [
    ("0.27.0", (0, 27, 0)),
    ("v0.3.64", (0, 3, 64)),
    ("0.27.0-dev", (0, 27, 0)),
    ("0.27.0rc1", (0, 27, 0)),
    ("v0.3.64-2-gabc123", (0, 3, 64)),
    ("0.3.64+fork.7", (0, 3, 64)),
    ("0.3.64.1", (0, 3, 64)),
    ("0.27", (0, 27, 0)),
    (" 1.0.0\n", (1, 0, 0)),
    ("2026.11.26", (2026, 11, 26)),
    ("nightly", None),
    ("", None),
    ("27", None),
    ("fork-0.3.64", None),
    ("0." + "9" * 5000, None),
    (None, None),
    (0.27, None),
    ([0, 27], None),
]


@pytest.mark.parametrize(("version", "release"), VERSIONS)
def test_versions(version: object, release: Release | None) -> None:
    assert parse_release(version) == release


def test_the_table_has_a_line_for_each_capability() -> None:
    assert list(SINCE) == [field.name for field in attrs.fields(Capabilities)]
    assert list(SINCE.values()) == sorted(SINCE.values())


def test_capabilities_come_and_stay() -> None:
    assert not any(flags_of((0, 3, 40)).values())
    assert Capabilities(**flags_of((0, 3, 64))).targeted_interrupt
    assert not Capabilities(**flags_of((0, 3, 66))).global_subgraphs
    assert Capabilities(**flags_of((0, 3, 67))).global_subgraphs
    assert not Capabilities(**flags_of((0, 25, 9))).job_cancel
    assert all(flags_of((1, 0, 0)).values())


def test_an_unknown_release_is_the_newest() -> None:
    assert flags_of(None) == flags_of((1, 0, 0))
