"""What typed nodes cost, for a server of 5,000 nodes beside one of 800.

The larger is the smaller with made-up packs of 300 nodes each, copies under other names.
``nox -s bench -- nodes`` needs mypy and pyright.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codegen.nodes import generate_package
from codegen.package import write

from .measuring import ROOT, environment, output_of, peak_memory

if TYPE_CHECKING:
    from .measuring import Report

SERVER = ROOT / "stubs" / "object_info-0.27.0.json"
MANY = 5000
PACK = 300
GENERATIONS = 3
IMPORTS = 15
CHECKS = 2

SCRIPT = '''\
"""Fifty lines such as people write."""

from __future__ import annotations

import sys

import attrs
import trio
from comfy_nodes import (
    CheckpointLoaderSimple,
    CLIPTextEncode,
    EmptyLatentImage,
    ImageScaleBy,
    KSampler,
    PreviewImage,
    SaveImage,
    VAEDecode,
)
from comfy_nodes.types import IMAGE

from comfy_trio import Graph, open_comfy
from comfy_trio.graph import Out


def paint(text: str, *, steps: int = 20) -> Out[IMAGE]:
    ckpt = CheckpointLoaderSimple(ckpt_name="sd15.safetensors")
    latent = KSampler(
        model=ckpt.model,
        positive=CLIPTextEncode(text=text, clip=ckpt.clip),
        negative=CLIPTextEncode(text="blurry", clip=ckpt.clip),
        latent_image=EmptyLatentImage(width=512, height=512),
        steps=steps,
        sampler_name="euler",
        scheduler="normal",
        seed=-1,
    )
    return VAEDecode(samples=latent, vae=ckpt.vae)


async def main() -> None:
    image = paint(sys.argv[1])
    save = SaveImage(images=image)
    small = ImageScaleBy(image=image, upscale_method="area", scale_by=0.25)
    async with open_comfy() as comfy:
        preview = PreviewImage(images=small)
        result = await comfy.run(Graph(save, small=preview))
        print(result[save]["images"][0]["filename"])
        again = attrs.evolve(save, filename_prefix="again")
        print((await comfy.run(again))[again]["images"])


trio.run(main)
'''


def many_nodes(object_info: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the nodes of a server, and made-up packs of copies."""
    declared = dict(object_info)
    originals = list(object_info.items())
    number = 0
    while len(declared) < count:
        class_type, original = originals[number % len(originals)]
        pack = number // PACK
        made_up = copy.deepcopy(original)
        made_up["python_module"] = f"custom_nodes.ComfyUI-Pack-{pack}"
        made_up["category"] = f"Pack {pack}/{original['category']}"
        spelling = f"{class_type} (pack {pack})" if number % 2 else f"{class_type}_{pack}_{number}"
        declared[spelling] = made_up
        number += 1
    return declared


def part(source: str, directory: str) -> None:
    """Generate a package and print the seconds and the MiB that it took; a process of its own."""
    object_info = json.loads(Path(source).read_bytes())
    start = time.perf_counter()
    package = generate_package(object_info, generator_version="0", server_version="0")
    write(Path(directory), package.sources)
    print(time.perf_counter() - start, peak_memory())


def timed(*command: str, path: Path) -> float:
    """Return the seconds that a command takes that finds packages at `path`."""
    variables = {**environment(path), "MYPYPATH": str(path)}
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, env=variables, stdout=subprocess.PIPE)
    return time.perf_counter() - start


def time_generation(report: Report, sources: list[Path], directories: list[Path]) -> None:
    times: list[list[float]] = [[], []]
    peaks: list[list[float]] = [[], []]
    for _ in range(report.scaled(GENERATIONS)):
        for side, (source, directory) in enumerate(zip(sources, directories, strict=True)):
            taken, peak = output_of("nodes", source, directory)
            times[side].append(taken)
            peaks[side].append(peak)
    report.add("generating and writing the package", times[1], times[0], "s")
    report.add("peak memory of that", peaks[1], peaks[0], "MiB")


def time_imports(report: Report, directories: list[Path]) -> None:
    for what, statement in (
        ("from comfy_nodes import KSampler", "from comfy_nodes import KSampler"),
        ("  of which import comfy_trio.graph", "import comfy_trio.graph"),
        ("  of which import attrs", "import attrs"),
    ):
        code = (
            "import time, comfy_trio\n"
            f"start = time.perf_counter()\n{statement}\n"
            "print(1000 * (time.perf_counter() - start))\n"
        )
        times: list[list[float]] = [[], []]
        for attempt in range(report.scaled(IMPORTS) + 1):
            for side, directory in enumerate(directories):
                variables = environment(directory.parent)
                variables.pop("PYTHONDONTWRITEBYTECODE", None)
                done = subprocess.run(
                    [sys.executable, "-c", code],
                    check=True,
                    capture_output=True,
                    text=True,
                    env=variables,
                )
                if attempt:  # the first one compiles
                    times[side].append(float(done.stdout))
        report.add(what, times[1], times[0], "ms")


def time_checkers(report: Report, directories: list[Path], scratch: Path) -> None:
    script = scratch / "script.py"
    script.write_text(SCRIPT)
    mypy: dict[str, list[list[float]]] = {"cold": [[], []], "warm": [[], []]}
    pyright: list[list[float]] = [[], []]
    for attempt in range(report.scaled(CHECKS)):
        for side, directory in enumerate(directories):
            cache = f"--cache-dir={scratch / f'cache_{side}_{attempt}'}"
            for run in ("cold", "warm"):
                command = ("-m", "mypy", "--strict", "--config-file=", cache, str(script))
                mypy[run][side].append(timed(*command, path=directory.parent))
            settings = scratch / f"pyright_{side}.json"
            settings.write_text(
                json.dumps(
                    {
                        "include": ["script.py"],
                        "extraPaths": [str(directory.parent), str(ROOT)],
                        "typeCheckingMode": "strict",
                    }
                )
            )
            checker = ("-m", "pyright", "--pythonpath", sys.executable, "-p", str(settings))
            pyright[side].append(timed(*checker, path=directory.parent))
    for run, (few, many) in mypy.items():
        report.add(f"mypy --strict on a script of 50 lines, {run}", many, few, "s")
    report.add("pyright strict on it, which keeps no cache", pyright[1], pyright[0], "s")


def measure(report: Report) -> None:
    """Generation, imports and checkers."""
    object_info = json.loads(SERVER.read_bytes())
    count = max(report.scaled(MANY), len(object_info) + PACK)
    report.title("typed nodes", f"{count:,}", f"{len(object_info):,}")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        few, many = scratch / "few.json", scratch / "many.json"
        few.write_text(json.dumps(object_info))
        many.write_text(json.dumps(many_nodes(object_info, count)))
        directories = [scratch / "few" / "comfy_nodes", scratch / "many" / "comfy_nodes"]
        time_generation(report, [few, many], directories)
        time_imports(report, directories)
        time_checkers(report, directories, scratch)
