"""Typed nodes on a real ComfyUI server at $COMFY_HOST: ``nox -s real``.

The programs are written against the committed `comfy_nodes`, and run on whatever version the server
is; what it has itself is generated and held to the same.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from comfy_nodes import (
    CheckpointLoaderSimple,
    CLIPTextEncode,
    EmptyImage,
    EmptyLatentImage,
    GetImageSize,
    ImageBatch,
    ImageInvert,
    ImageScale,
    ImageScaleBy,
    KSampler,
    PreviewImage,
    SaveImage,
    VAEDecode,
)

from comfy_trio import Comfy, EnqueueFailedError, Graph, open_comfy
from comfy_trio.__main__ import main

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from types import ModuleType

pytestmark = pytest.mark.real

DEADLINE = 120


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy() as comfy:
            yield comfy


@pytest.fixture(scope="module")
def server_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """What the command makes of the server's own nodes, and checks right afterwards."""
    directory = tmp_path_factory.mktemp("generated")
    command = ["comfy_trio", "codegen", "--out", str(directory / "server_nodes")]
    with pytest.MonkeyPatch.context() as patch:
        for arguments in (command, [*command, "--check"]):
            patch.setattr(sys, "argv", arguments)
            with pytest.raises(SystemExit) as exit_info:
                main()
            assert exit_info.value.code == 0
        patch.setattr(sys, "path", [str(directory), *sys.path])
        yield importlib.import_module("server_nodes")
    for module in [name for name in sys.modules if name.partition(".")[0] == "server_nodes"]:
        del sys.modules[module]


async def test_processing_images(comfy: Comfy) -> None:
    red = EmptyImage(width=100, height=60, color=0xFF0000)
    inverted = ImageInvert(image=red)
    size = GetImageSize(image=inverted)
    small = ImageScaleBy(image=inverted, scale_by=0.5, upscale_method="area")
    same = ImageScale(
        image=small, width=size.width, height=size.height, upscale_method="lanczos", crop="center"
    )
    save = SaveImage(images=ImageBatch(image1=red, image2=same), filename_prefix="typed")
    preview = PreviewImage(images=small).with_title("Small")
    result = await comfy.run(Graph(save, small=preview))
    first, second = result[save]["images"]
    assert first["filename"] != second["filename"]
    assert result["small"] == result[preview]
    with_size = [await comfy.file.read(image) for image in result[preview]["images"]]
    assert with_size[0].startswith(b"\x89PNG")


async def test_text_to_image(comfy: Comfy) -> None:
    """It runs where there is a checkpoint, and is refused for that alone where there is none."""
    checkpoints = await comfy.node.checkpoints()
    ckpt = CheckpointLoaderSimple(ckpt_name=checkpoints[0] if checkpoints else "none")
    latent = KSampler(
        model=ckpt.model,
        positive=CLIPTextEncode(text="a cat", clip=ckpt.clip),
        negative=CLIPTextEncode(text="", clip=ckpt.clip),
        latent_image=EmptyLatentImage(width=64, height=64),
        seed=-1,
        steps=2,
        sampler_name="euler",
        scheduler="normal",
    )
    save = SaveImage(images=VAEDecode(samples=latent, vae=ckpt.vae))
    if checkpoints:
        result = await comfy.run(save)
        assert result[save]["images"][0]["filename"].endswith(".png")
        assert result.auto_seeds
    else:
        with pytest.raises(EnqueueFailedError) as caught:
            await comfy.run(save)
        [refused] = caught.value.node_errors.values()
        assert [error.input_name for error in refused.errors] == ["ckpt_name"]


async def test_nodes_of_the_server_itself(comfy: Comfy, server_nodes: Any) -> None:
    assert "KSampler" in dir(server_nodes)
    image = server_nodes.EmptyImage(width=16, height=16)
    save = server_nodes.SaveImage(images=server_nodes.ImageInvert(image=image))
    result = await comfy.run(save)
    assert result[save]["images"]


async def test_reading_back_what_was_run(comfy: Comfy, server_nodes: ModuleType) -> None:
    save = SaveImage(images=EmptyImage(width=16, height=16, color=7))
    graph = Graph.from_prompt(Graph(save).to_prompt(), server_nodes)
    assert {type(node).__module__.partition(".")[0] for node in graph.nodes.values()} == {
        "server_nodes"
    }
    assert graph.to_prompt() == Graph(save).to_prompt()
