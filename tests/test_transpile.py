"""Prompts as scripts: what they make is the prompt, whatever is in it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import comfy_nodes
import pytest
from golden import nodes as golden
from hypothesis import given, settings
from hypothesis import strategies as st
from plausible import variants
from prompts import node
from scripts import essence, run_script, template_prompts

from codegen.names import resolve
from codegen.parse import parse_object_info
from codegen.script_names import Names, wanted_name
from codegen.transpile import Script
from codegen.transpile import transpile as write_script
from comfy_trio import Graph, UnknownNode, Workflow, WorkflowError, transpile
from comfy_trio.graph import OutputNode

if TYPE_CHECKING:
    from types import ModuleType

    from comfy_trio.graph import Node

ROOT = Path(__file__).parent.parent
HOSTILE = [
    "",
    "'''",
    '"""',
    "'''a'''b\"\"\"c",
    "C:\\out\\",
    "\\",
    '"""; __import__("os").system("touch /tmp/owned"); """',
    "line\n\n\nlines\r\nand\rothers\x0b\x0c\x1c\x85\u2028\u2029\n",
    "lone \ud800 surrogate \udfff, and \ud83d\ude00 as two",
    "\u202eright to left\u2066\u200b\ufeff",
    "tab\tand\0null\x1b[31m",
    "{braces} %s $x # no comment",
    "word " * 60,
    "w" * 300,
    "\u732b\uff0c\u72d7\u3002" * 60,
    "a\n" * 40,
    "\U0001f600 e\u0301 \ufb01",
]


def script(prompt: dict[str, Any], package: ModuleType = comfy_nodes, **options: Any) -> Script:
    return write_script(prompt, package, name="x.json", **options)


def check(prompt: dict[str, Any], package: ModuleType = comfy_nodes) -> Script:
    """See that a script makes the prompt, and that the same script is made of what it makes."""
    made = script(prompt, package)
    made.source.encode()
    graph = run_script(made.source)
    assert essence(graph.to_prompt()) == essence(prompt)
    assert list(graph.nodes) == list(prompt)
    assert script(graph.to_prompt(), package).source == made.source
    return made


def portrait(text: str = "a cat") -> dict[str, Any]:
    return {
        "3": node(
            "KSampler",
            seed=1,
            steps=20,
            cfg=8.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", "Load Checkpoint", ckpt_name="sd 15.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "6": node("CLIPTextEncode", "CLIP Text Encode (Positive)", text=text, clip=["4", 1]),
        "7": node("CLIPTextEncode", "What not to show", text="", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
    }


def statements(prompt: dict[str, Any], package: ModuleType = comfy_nodes, **options: Any) -> str:
    """The statements that make the nodes."""
    source = script(prompt, package, **options).source
    blocks = source.partition("\n\ngraph = ")[0].split("\n\n")
    return "\n\n".join(b for b in blocks if not b.startswith(("import ", "from ", '"""')))


PORTRAIT = '''\
"""x.json, as Python."""

import trio
from comfy_trio import Graph, open_comfy

from comfy_nodes import (
    CheckpointLoaderSimple,
    CLIPTextEncode,
    EmptyLatentImage,
    KSampler,
    SaveImage,
    VAEDecode,
)

checkpoint_loader_simple = CheckpointLoaderSimple(ckpt_name="sd 15.safetensors")
positive = CLIPTextEncode(
    text="a cat",
    clip=checkpoint_loader_simple.clip,
).with_title("CLIP Text Encode (Positive)")
what_not_to_show = CLIPTextEncode(
    text="",
    clip=checkpoint_loader_simple.clip,
).with_title("What not to show")
empty_latent_image = EmptyLatentImage(height=768)
ksampler = KSampler(
    model=checkpoint_loader_simple.model,
    seed=1,
    sampler_name="euler",
    scheduler="normal",
    positive=positive,
    negative=what_not_to_show,
    latent_image=empty_latent_image,
)
vae_decode = VAEDecode(samples=ksampler, vae=checkpoint_loader_simple.vae)
save_image = SaveImage(images=vae_decode)

graph = Graph.from_nodes(
    {
        "3": ksampler,
        "4": checkpoint_loader_simple,
        "5": empty_latent_image,
        "6": positive,
        "7": what_not_to_show,
        "8": vae_decode,
        "9": save_image,
    },
)


async def main() -> None:
    async with open_comfy() as comfy:
        result = await comfy.run(graph)
        for file in result[save_image]["images"]:
            print(await comfy.file.download(file, "out/"))


if __name__ == "__main__":
    trio.run(main)
'''


def test_a_script() -> None:
    made = script(portrait())
    assert made.notes == ()
    assert made.source == PORTRAIT
    assert transpile(Workflow(portrait()), comfy_nodes, name="x.json") == made.source
    assert transpile(portrait(), comfy_nodes).startswith('"""A workflow, as Python."""\n')


def test_the_templates() -> None:
    """From canvas to Python and back."""
    prompts = template_prompts()
    assert len(prompts) == 240
    unknown: list[str] = []
    for prompt in prompts.values():
        unknown += check(prompt).notes
    assert sorted(note.partition("(")[2].partition(" is")[0] for note in unknown) == [
        'AILab_QwenVL, "Caption Image - QwenVL")',
        "GetImageSizeAndCount)",
        "ImageRemoveAlpha+)",
        'ImageStitch, "Stitch Images")',  # which lacks a required input
    ]


def test_titles_that_a_person_gave_are_kept() -> None:
    prompt = run_script(script(portrait()).source).to_prompt()
    titles = {
        node_id: each["_meta"]["title"] for node_id, each in prompt.items() if "_meta" in each
    }
    assert titles == {"6": "CLIP Text Encode (Positive)", "7": "What not to show"}


@pytest.mark.parametrize(
    ("title", "class_type", "name"),
    [
        ("", "KSampler", "ksampler"),
        ("", "VAEDecode", "vae_decode"),
        ("", "ComfySwitchNode", "comfy_switch"),
        ("", "Image Resize+ (pack)", "image_resize_pack"),
        ("CLIP Text Encode (Negative Prompt)", "CLIPTextEncode", "negative_prompt"),
        ("Int (Steps)", "PrimitiveInt", "int_steps"),
        ("The cat's text", "CLIPTextEncode", "the_cats_text"),
        ("\U0001f600 \u732b \u2460", "CLIPTextEncode", "\u732b_1"),
        ("\U0001f600", "CLIPTextEncode", "clip_text_encode"),
        ("4 steps", "X", "node_4_steps"),
        ("word " * 20, "X", "word_word_word_word_word_word_word_word"),
        ("class", "X", "class"),
        ("", "\U0001f600", "node"),
    ],
)
def test_names_of_variables(title: str, class_type: str, name: str) -> None:
    assert wanted_name(title, "CLIP Text Encode (Prompt)", class_type) == name


def test_names_that_are_taken_already() -> None:
    titles = ["class", "print", "Graph", "graph", "main", "SaveImage", "Image", "image", "l"]
    titles += ["match", "sampler", "sampler 2", "sampler", "print", "comfy", "trio", "file"]
    prompt = {
        str(number): node("UnknownToAll", title, number=number)
        for number, title in enumerate(titles, 1)
    }
    source = check(prompt).source
    made = [line.partition(" = ")[0] for line in source.splitlines() if "= UnknownNode(" in line]
    assert made == [
        *("class_node", "print_node", "graph_node", "graph_node_2", "main_node", "saveimage"),
        *("image", "image_2", "l_node", "match", "sampler", "sampler_2", "sampler_3"),
        *("print_node_2", "comfy_node", "trio_node", "file_node"),
    ]


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_what_they_were(text: str) -> None:
    made = check(portrait(text))
    assert all(part.isprintable() for part in made.source.splitlines())
    longest = max(map(len, made.source.splitlines()))
    assert longest <= 100 or text == "w" * 300
    check(
        {"1": node(text, text, **{f"x{text}": text, "y": {"__value__": [text]}, "z": {text: text}})}
    )
    check({f"1{text}": node("EmptyImage", text, width=64)})
    write_script(portrait(), comfy_nodes, name=text or "x").source.encode()


def test_a_text_of_several_lines() -> None:
    made = statements({"1": node("X", text="a cat,\nwith a hat\n\n" + "x" * 80)})
    assert (
        made
        == f'''\
# An UnknownNode, as comfy_nodes has no class for it.
x = UnknownNode(
    "X",
    {{
        "text": (
            "a cat,\\n"
            "with a hat\\n\\n"
            "{"x" * 80}"
        ),
    }},
)'''
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.text(st.characters(), min_size=1),
        st.tuples(
            st.sampled_from(["KSampler", "SaveImage", "CLIPTextEncode", "EmptyImage"])
            | st.text(st.characters()),
            st.text(st.characters()),
            st.dictionaries(
                st.sampled_from(["text", "width", "seed", "images", "clip"])
                | st.text(st.characters()),
                json_values.map(
                    lambda value: {"__value__": [value]} if isinstance(value, list) else value
                ),
                max_size=4,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=60)
def test_whatever_a_prompt_holds(nodes: dict[str, tuple[str, str, dict[str, Any]]]) -> None:
    check({key: node(kind, title, **inputs) for key, (kind, title, inputs) in nodes.items()})


def test_lists_that_are_no_links() -> None:
    made = script({"1": node("X", "A title", shades=[1, 2.5])})
    assert made.notes[0] == (
        "node 1 (X, \"A title\"): input 'shades' is a list that is no link, and will be"
        ' {"__value__": [...]}, as servers read lists'
    )
    prompt = run_script(made.source).to_prompt()
    assert prompt["1"]["inputs"] == {"shades": {"__value__": [1, 2.5]}}


def test_values_that_are_nested_deeply() -> None:
    value: Any = "\ud800'"
    for _ in range(150):
        value = {"__value__": [value]} if isinstance(value, str) else {"a": value}
    made = check({"1": node("X", value=value, flat={"a": {"b": [1]}})})
    assert "import json\n\nimport trio\n" in made.source


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (512, ""),
        (512.0, "width=cast(Any, 512.0)"),
        (1, "width=1"),
        (1.0, "width=cast(Any, 1.0)"),
        (True, "width=True"),
    ],
)
def test_numbers_keep_their_kind(value: object, source: str) -> None:
    prompt = {"1": node("EmptyImage", width=value, height=512, batch_size=1, color=0)}
    check(prompt)
    assert source in statements(prompt)


# --- nodes ----------------------------------------------------------------------------------------


def of_image(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node that takes an image from node 1, and one that makes it."""
    return {"1": node("EmptyImage", color=0), "2": node(class_type, **inputs)}


@pytest.mark.parametrize(
    ("class_type", "inputs", "source"),
    [
        (
            "ResizeImageMaskNode",
            {
                "input": ["1", 0],
                "resize_type": "scale dimensions",
                "resize_type.width": 64,
                "resize_type.height": 512,
                "resize_type.crop": "center",
                "scale_method": "area",
            },
            "resize_type=ResizeImageMaskNode.ScaleDimensions(width=64)",
        ),
        (
            "BatchImagesNode",
            {"images.image0": ["1", 0], "images.image1": ["1", 0]},
            "images=[empty_image, empty_image]",
        ),
        (
            "BatchImagesNode",
            {"images.image0": ["1", 0], "images.image4": ["1", 0]},
            'images=[empty_image]).with_inputs({"images.image4": empty_image})',
        ),
        (
            "SaveImage",
            {"images": ["1", 0], "lora 1": {"on": True}},
            'with_inputs({"lora 1": {"on": True}})',
        ),
        (
            "SaveImage",
            {"images": ["1", 1], "filename_prefix": "x"},
            "images=Slot[Any](empty_image, 1)",
        ),
        ("SaveImage", {"images": ["1", 0]}, '.without_inputs("filename_prefix")'),
        ("Any of all", {"it": ["1", 0]}, 'UnknownNode("Any of all", {"it": empty_image})'),
        (
            "KSamplerSelect",
            {"sampler_name": "gone"},
            "# Not what KSamplerSelect declares: sampler_name.",
        ),
        ("KSamplerSelect", {"sampler_name": "gone"}, 'sampler_name=cast(Any, "gone")'),
        ("VAEDecode", {"samples": ["1", 0], "vae": ["1", 0]}, "vae=cast(Any, empty_image)"),
        (
            "ComfySwitchNode",
            {"switch": True, "on_true": ["1", 0], "on_false": ["1", 0]},
            "= ComfySwitchNode(switch=True",
        ),
        (
            "ComfySwitchNode",
            {"switch": True, "on_true": ["1", 0], "on_false": ["1", 7]},
            "ComfySwitchNode[Any](\n",
        ),
        ("PreviewAny", {"source": None}, "source=None"),
    ],
)
def test_inputs_of_all_kinds(class_type: str, inputs: dict[str, Any], source: str) -> None:
    prompt = of_image(class_type, **inputs)
    check(prompt)
    assert source in statements(prompt)


def test_links_to_nodes_without_a_class() -> None:
    prompt = {
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
        "3": node("SaveImage", images=["1", 2], filename_prefix="x"),
        "4": node("SaveImage", images=["1", -1], filename_prefix="x"),
        "1": node("Nobody Knows"),
    }
    check(prompt)
    assert (
        statements(prompt)
        == """\
# An UnknownNode, as comfy_nodes has no class for it.
nobody_knows = UnknownNode("Nobody Knows")
save_image = SaveImage(images=nobody_knows, filename_prefix="x")
save_image_2 = SaveImage(images=nobody_knows.output(2), filename_prefix="x")
save_image_3 = SaveImage(images=Slot[Any](nobody_knows, -1), filename_prefix="x")"""
    )


def test_classes_with_odd_homes_and_names() -> None:
    prompt = {
        str(number): node(class_type, "", **{"any thing": 1})
        for number, class_type in enumerate(golden_classes(), 1)
    }
    made = check(prompt, golden)
    names = {each.id for each in ast.walk(ast.parse(made.source)) if isinstance(each, ast.Name)}
    assert not names & {"__import__", "os", "eval", "exec"}


def golden_classes() -> list[str]:
    return list(import_module("golden.nodes._index").NODES)


@pytest.mark.parametrize(
    ("package", "object_info"),
    [
        (comfy_nodes, ROOT / "stubs" / "object_info-0.27.0.json"),
        (golden, ROOT / "tests" / "golden" / "object_info.json"),
    ],
)
def test_every_node_with_all_its_inputs(package: ModuleType, object_info: Path) -> None:
    homes = import_module(f"{package.__name__}._index").NODES
    declarations = json.loads(object_info.read_text(encoding="utf-8"))
    nodes: list[Node] = []
    for pack in resolve(parse_object_info(declarations)).packs:
        for named in (each for module in pack.modules for each in module.nodes):
            if home := homes.get(named.declaration.class_type):
                module = import_module(f"{package.__name__}.{home.partition(':')[0]}")
                nodes += variants(getattr(module, named.class_name), named)
    graph = Graph.from_nodes({str(number): each for number, each in enumerate(nodes)})
    made = check(graph.to_prompt(), package)
    assert "cast(" not in made.source


def test_classes_of_one_name() -> None:
    """Of two packs; and one that is called as something which every script imports."""
    names = Names(golden)
    first = type("SaveImage", (UnknownNode.__mro__[1],), {"__module__": "golden.nodes.core.image"})
    assert names.class_name(cast("Any", golden.SaveImage)) == "SaveImage"
    assert names.class_name(cast("Any", first)) == "SaveImage_image"
    assert names.class_name(golden.Slot) == "Slot_nodes"
    assert names.source() == (
        "from golden.nodes import SaveImage\n"
        "from golden.nodes import Slot as Slot_nodes\n"
        "from golden.nodes.core.image import SaveImage as SaveImage_image"
    )


def test_order() -> None:
    """Each right before what needs it first, as deep as the chain may be."""
    length = 5_000
    chain = {
        str(number): node("ImageInvert", image=[str(number + 1), 0]) for number in range(length)
    }
    chain[str(length)] = node("EmptyImage")
    made = script(chain)
    assert list(run_script(made.source).nodes) == list(chain)


# --- ids ------------------------------------------------------------------------------------------


def test_new_ids() -> None:
    prompt = {
        **portrait(),
        "20": node("ImageInvert", image=["8", 0]),
        "21": node("PreviewImage", images=["8", 0]),
    }
    made = script(prompt, renumber=True)
    assert made.notes == ("node 20 (ImageInvert) is left out: no output needs it",)
    assert "graph = Graph(save_image, preview_image)\n" in made.source
    graph = run_script(made.source)
    assert list(graph.nodes) == [str(number) for number in range(1, len(prompt))]
    shown = {node.class_type for node in graph.nodes.values() if isinstance(node, OutputNode)}
    assert shown == {"SaveImage", "PreviewImage"}


def test_new_ids_where_one_output_needs_another() -> None:
    prompt = {
        "1": node("EmptyImage"),
        "2": node("SaveImage", images=["1", 0]),
        "3": node("SaveImage", images=["2", 0]),
    }
    assert "graph = Graph(save_image_2)\n" in script(prompt, renumber=True).source
    prompt["4"] = node("ImageInvert", image=["3", 0])
    assert "graph = Graph(save_image_2)\n" in script(prompt, renumber=True).source


def test_new_ids_where_nothing_is_shown() -> None:
    with pytest.raises(WorkflowError, match=r"^no node here is an output node"):
        script({"1": node("EmptyImage")}, renumber=True)


def test_what_cannot_be_read() -> None:
    with pytest.raises(WorkflowError, match="links to node '9', which does not exist"):
        transpile({"1": node("ImageInvert", image=["9", 0])}, comfy_nodes)
    with pytest.raises(WorkflowError, match=r"^ast is not a package made by"):
        transpile(portrait(), ast)
    bypassing = Workflow(portrait()).bypass(next(iter(portrait())))
    attached = Workflow(portrait()).attach_folder("set", {"a.txt": b""})
    for workflow in (bypassing, attached):
        with pytest.raises(WorkflowError, match=r"bypassed or .*: workflow\.resolved_prompt\("):
            transpile(workflow, comfy_nodes)


def test_what_no_output_of_pictures_shows() -> None:
    source = script({"1": node("PreviewAny", source="x")}).source
    assert "for node_id, output in result.items():" in source


# --- ruff's word ----------------------------------------------------------------------------------


def test_ruff_has_nothing_left_to_do(tmp_path: Path) -> None:
    prompts = list(template_prompts().items())[::8]
    prompts += [(f"hostile_{n}", portrait(text)) for n, text in enumerate(HOSTILE)]
    long = "title " * 16
    both = node("SaveImage", long, images=["1", 0], more=long, some=[{"a": long, "b": 1}])
    prompts.append(("long", {"1": node("X", long, **{long: {long: long}}), "2": both}))
    for number, (name, prompt) in enumerate(prompts):
        made = write_script(prompt, comfy_nodes, name=name)
        (tmp_path / f"script_{number}.py").write_text(made.source, encoding="utf-8")
    (tmp_path / "comfy_nodes").mkdir()
    (tmp_path / "comfy_nodes" / "__init__.py").touch()
    for command in (["format", "--diff"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length=100", "."],
            capture_output=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout.decode()
