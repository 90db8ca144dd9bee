"""The README's examples of workflows do what it says, on the embedded server.

Its example of typed nodes is in test_typed_runs.py, and what checkers say of it in test_types.py.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from PIL import Image
from prompts import node
from readme import readme_blocks, readme_examples
from templates import object_info

from codegen.workflow_module import generate_workflow_module
from comfy_trio import Comfy, PromptBuilder, Workflow, validate
from comfy_trio._replies import get
from comfy_trio._util import as_object
from comfy_trio.testing import open_embedded_server

if TYPE_CHECKING:
    from trio.testing import MockClock

    from comfy_trio.testing import EmbeddedServer

PORTRAIT: dict[str, Any] = {
    "3": node(
        "KSampler",
        seed=1,
        steps=3,
        cfg=7.0,
        sampler_name="euler",
        scheduler="normal",
        model=["4", 0],
        positive=["6", 0],
        negative=["7", 0],
        denoise=1.0,
        latent_image=["10", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
    "5": node("LoadImage", image="example.png"),
    "6": node("CLIPTextEncode", "Positive prompt", text="a boat", clip=["4", 1]),
    "7": node("CLIPTextEncode", "Negative prompt", text="", clip=["4", 1]),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", "The portrait", images=["12", 0], filename_prefix="portrait"),
    "10": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    "11": node("PreviewImage", images=["5", 0]),
    "12": node("ImageInvert", image=["8", 0]),
}


def drawn(prompt: dict[str, Any]) -> dict[str, Any]:
    """A prompt as a canvas file, its values by name."""
    nodes: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    for node_id, each in prompt.items():
        slots: list[dict[str, Any]] = []
        values: dict[str, Any] = {}
        for name, value in each["inputs"].items():
            if not isinstance(value, list):
                values[name] = value
                continue
            links.append([len(links), value[0], value[1], node_id, len(slots), "*"])
            slots.append({"name": name, "type": "*", "link": links[-1][0]})
        title = each.get("_meta", {}).get("title", "")
        nodes.append(
            {
                "id": node_id,
                "type": each["class_type"],
                "title": title,
                "mode": 0,
                "inputs": slots,
                "outputs": [{"type": "*"}] * 3,
                "widgets_values": values,
            }
        )
    return {"nodes": nodes, "links": links}


async def run_example(example: str, **names: Any) -> dict[str, Any]:
    """Run the body of an async function, and return its variables."""
    body = textwrap.indent(f"{example}\nreturn locals()", "    ")
    scope: dict[str, Any] = {**names}
    exec(f"async def main({', '.join(names)}):\n{body}", scope)
    variables: dict[str, Any] = await scope["main"](**names)
    return variables


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_a_workflow_from_a_canvas(
    here: Path, autojump_clock: MockClock, comfy: Comfy, server: EmbeddedServer
) -> None:
    (here / "portrait.json").write_text(json.dumps(drawn(PORTRAIT)), encoding="utf-8")
    Image.new("RGB", (8, 8), "red").save(here / "photo.jpg")
    [example] = readme_examples('comfy.load("portrait.json")')
    made = await run_example(example, comfy=comfy)
    assert made["workflow"].to_dict()["7"]["inputs"]["text"] == "blurry"
    assert made["workflow"].bypassed == ("12",)
    assert made["result"].auto_seeds["3"] >= 0
    prompts = [job["prompt"][2] for job in await history(comfy)]
    assert prompts[0]["5"]["inputs"]["image"] == "photo.jpg"
    assert prompts[0]["9"]["inputs"]["images"] == ["8", 0]


async def history(comfy: Comfy) -> list[dict[str, Any]]:
    reply = await comfy._session.http.request(get("/history"))
    return list(as_object(reply.json()).values())


async def test_validation(autojump_clock: MockClock, comfy: Comfy) -> None:
    prompt = {
        "1": node("EmptyImage", width=64.7, height=64, batch_size=1, color=0),
        "2": node(
            "ImageScale",
            image=["1", 0],
            upscale_method="lancoz",
            width=8,
            height=8,
            crop="disabled",
            kep_proportion=True,
        ),
        "8": node("PreviewImage", images=["1", 0]),
        "9": node("SaveImage", "Save it", images=["2", 0], filename_prefix="a"),
    }
    [report] = [block for block in readme_blocks("") if "lancoz" in block]
    assert f"{validate(prompt, object_info('0.27.0'))}\n" == report
    [example] = readme_examples("comfy.validate(workflow)")
    made = await run_example(example, comfy=comfy, workflow=Workflow(prompt))
    assert f"{made['validation']}\n" == report


async def test_a_prompt_builder(autojump_clock: MockClock, comfy: Comfy) -> None:
    [example] = readme_examples("PromptBuilder[Literal")
    names = {"PromptBuilder": PromptBuilder, "Literal": Literal, "json": json}
    made = await run_example(example, comfy=comfy, text=json.dumps(PORTRAIT), **names)
    assert made["result"]["images"]["images"]
    assert made["result"].auto_seeds["3"] >= 0


async def test_a_module_of_one_workflow(
    autojump_clock: MockClock,
    comfy: Comfy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = ModuleType("portrait")
    monkeypatch.setitem(sys.modules, "portrait", module)
    generated = generate_workflow_module(
        {node_id: each for node_id, each in PORTRAIT.items() if node_id not in {"5", "11"}},
        await comfy.node.definitions(),
        name="portrait",
        generator_version="0",
        server_version="0",
    )
    exec(generated.source, module.__dict__)
    [example] = readme_examples("from portrait import")
    await run_example(example, comfy=comfy)
    assert capsys.readouterr().out.endswith(".png\n")


async def test_on_the_command_line(here: Path) -> None:
    """In the order of the README, in an empty directory but for the canvas and the nodes."""
    (here / "portrait.json").write_text(json.dumps(drawn(PORTRAIT)), encoding="utf-8")
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'stubs'}"}
    [commands] = [block for block in readme_blocks("sh") if "comfy_trio convert" in block]
    async with open_embedded_server() as server, server.listen() as url:
        for command in commands.splitlines():
            line = command.replace("http://127.0.0.1:8188", url)
            line = line.replace("python", sys.executable, 1).replace("*.json", "portrait.json")
            done = await trio.run_process(
                line.split(), capture_stdout=True, capture_stderr=True, check=False, env=environment
            )
            assert done.returncode == 0, done.stderr.decode()
    assert json.loads((here / "prompts" / "portrait.json").read_text()).keys() == PORTRAIT.keys()
    for script in ("portrait_graph.py", "portrait.py"):
        compile((here / script).read_text(encoding="utf-8"), script, "exec")
