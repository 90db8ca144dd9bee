from __future__ import annotations

from typing import Any

import pytest

from comfy_trio._ranges import ContentVersion

REST = {"content-range": "bytes 4-9/10", "content-length": "6", "etag": '"1"'}
VERSION = ContentVersion(10, '"1"')


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, ContentVersion(None, "")),
        ({"content-length": "10", "etag": '"1"'}, VERSION),
        ({"content-length": "10", "etag": '"1"', "last-modified": "x"}, VERSION),
        ({"content-length": "10", "etag": 'W/"1"'}, ContentVersion(10, "")),
        ({"content-length": "0", "etag": 'W/"1"', "last-modified": "x"}, ContentVersion(0, "x")),
        ({"content-length": "10", "content-encoding": "gzip"}, ContentVersion(None, "")),
        ({"content-length": "-1"}, ContentVersion(None, "")),
    ],
)
def test_versions(headers: dict[str, str], version: ContentVersion) -> None:
    assert ContentVersion.of(headers) == version


def test_what_can_be_recognized() -> None:
    assert VERSION.recognizable
    assert not ContentVersion(None, '"1"').recognizable
    assert not ContentVersion(10, "").recognizable
    assert VERSION.headers_for_rest(4) == (("Range", "bytes=4-"), ("If-Range", '"1"'))


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"content-length": None}, True),
        ({"content-range": "bytes 3-8/10"}, False),
        ({"content-range": "bytes 4-9/11"}, False),
        ({"content-range": "bytes 4-9/*"}, False),
        ({"content-range": None}, False),
        ({"content-length": "5"}, False),
        ({"etag": '"2"'}, False),
        ({"etag": None}, False),
        ({"etag": 'W/"1"'}, False),
    ],
)
def test_what_has_the_rest(change: dict[str, Any], fits: bool) -> None:
    headers = {name: value for name, value in (REST | change).items() if value is not None}
    assert VERSION.has_rest(4, 206, headers) == fits
    assert not VERSION.has_rest(4, 200, headers)
    assert not ContentVersion(None, '"1"').has_rest(4, 206, headers)
