"""`Comfy.node`: what the server declares of its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comfy_trio import open_comfy
from comfy_trio._namespaces._node import choices
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    import trio


DECLARED: list[tuple[Any, tuple[str, ...]]] = [
    ([["a", "b"], {"tooltip": "..."}], ("a", "b")),
    ([["a", "b"]], ("a", "b")),
    (["COMBO", {"options": ["a", "b"], "multiselect": False}], ("a", "b")),
    ([[], {}], ()),
    (["COMBO", {"options": []}], ()),
    (["COMBO", {"remote": {"route": "/models"}}], ()),
    (["COMBO"], ()),
    ([["a", 1, None]], ("a",)),
    (["STRING", {"multiline": True}], ()),
    ("odd", ()),
    (None, ()),
]


@pytest.mark.parametrize(("declared", "expected"), DECLARED)
@pytest.mark.parametrize("section", ["required", "optional"])
def test_choices(section: str, declared: Any, expected: tuple[str, ...]) -> None:
    assert choices({"input": {section: {"ckpt_name": declared}}}, "ckpt_name") == expected


@pytest.mark.parametrize("declaration", [{}, {"input": None}, {"input": {"required": []}}])
def test_choices_of_odd_declarations(declaration: dict[str, Any]) -> None:
    assert choices(declaration, "ckpt_name") == ()


@pytest.mark.parametrize("version", ["0.3.64", "0.27.0"])
async def test_definitions_and_checkpoints(version: str, autojump_clock: trio.abc.Clock) -> None:
    async with (
        open_embedded_server(version=version) as server,
        open_comfy(server.url, transport=server.transport) as comfy,
    ):
        one = await comfy.node.definitions("KSampler")
        assert list(one) == ["KSampler"]
        assert one["KSampler"]["output"] == ["LATENT"]
        everything = await comfy.node.definitions()
        assert len(everything) > 20
        assert everything["KSampler"] == one["KSampler"]
        assert await comfy.node.definitions("No/Such Class") == {}
        assert "sd15.safetensors" in await comfy.node.checkpoints()
