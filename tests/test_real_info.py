"""What a real server at $COMFY_HOST is and has: ``nox -s real``.

Only what any server has is taken for granted: of its models, packs and templates, whatever is there
is asked about.
"""

from __future__ import annotations

import itertools
import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
from prompts import image, node

from comfy_trio import (
    AuthenticationError,
    Comfy,
    ModelFile,
    NodeStarted,
    NotFoundError,
    ResponseError,
    open_comfy,
)
from comfy_trio._replies import get, post

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.real

DEADLINE = 120
MOST_ASKED = 20
"""How many of a kind are asked about one by one."""


@pytest.fixture
async def comfy() -> AsyncGenerator[Comfy, None]:
    assert "COMFY_HOST" in os.environ, "say where the real server is: COMFY_HOST=http://..."
    with trio.fail_after(DEADLINE):
        async with open_comfy(feature_flags={"comfy_trio_tests": {"deep": [1]}}) as comfy:
            yield comfy


async def status(comfy: Comfy, path: str) -> int:
    return (await comfy._session.http.request(get(path))).status


# The server


async def test_the_table_of_releases_is_right(comfy: Comfy) -> None:
    info = await comfy.system.info()
    assert info.release is not None
    can = info.can
    assert (await status(comfy, "/jobs") == 200) == can.jobs
    assert (await status(comfy, "/global_subgraphs") == 200) == can.global_subgraphs
    assert (await status(comfy, "/assets") != 404) == can.assets
    assert (await status(comfy, "/node_replacements") == 200) == can.node_replacements
    cancel = await comfy._session.http.request(post("/jobs/cancel", {"job_ids": "odd"}))
    assert (cancel.status == 400) == can.job_cancel
    assert ("extension" in info.features) == can.manager_feature
    assert ("assets" in info.features) == can.assets_feature
    assert ("comfy_package_versions" in info.system) == can.package_versions
    assert ("deploy_environment" in info.system) == can.deploy_environment
    headers = {"Sec-Fetch-Site": "cross-site"}  # which a browser sends, for a page of another site
    if not can.refuses_cross_site:
        async with open_comfy(headers=headers):
            return
    with pytest.raises(AuthenticationError):
        async with open_comfy(headers=headers):
            pytest.fail("the server lets pages of other sites in")


async def test_features(comfy: Comfy) -> None:
    info = await comfy.system.info()
    assert await comfy.system.info() is info
    assert info.preview_metadata
    assert info.max_upload_size is not None
    assert info.max_upload_size > 2**20
    assert await comfy.feature_flags.supports("supports_preview_metadata")
    manager = await comfy.feature_flags.supports("extension.manager.supports_v4")
    assert manager == info.can.manager_feature
    assert not await comfy.feature_flags.supports("no such feature")
    assert comfy.feature_flags.announced["comfy_trio_tests"] == {"deep": [1]}
    assert await comfy.feature_flags.of_server() == info.features


async def test_state(comfy: Comfy) -> None:
    stats = await comfy.system.stats()
    assert stats["system"]["comfyui_version"] == (await comfy.system.info()).version
    assert 0 < stats["system"]["ram_free"] <= stats["system"]["ram_total"]
    assert stats["devices"][0]["name"]
    assert 0 < await comfy.system.ping() < 10


async def test_freed_memory_is_forgotten(comfy: Comfy) -> None:
    prompt = image(random.randrange(2**24))

    async def nodes_run() -> set[str]:
        async with comfy.open_job(prompt) as job:
            return {event.node_id async for event in job.events() if isinstance(event, NodeStarted)}

    assert await nodes_run() == {"1", "2", "9"}
    assert await nodes_run() == set()
    await comfy.system.free_memory(unload_models=True, free_memory=False)
    await trio.sleep(1)  # the server takes its time
    assert await nodes_run() == set()
    await comfy.system.free_memory()
    await trio.sleep(1)
    assert await nodes_run() == {"1", "2", "9"}


# Nodes


async def test_classes_of_any_name(comfy: Comfy) -> None:
    everything = await comfy.node.definitions()
    odd = [name for name in everything if not name.isidentifier()]
    for name in ["KSampler", *odd[:MOST_ASKED]]:
        assert (await comfy.node.definition(name))["name"] == name
        assert list(await comfy.node.definitions(name)) == [name]
    for name in ("KSamplr", "no/such%20class", "?", "..", "ü"):
        if name not in everything:
            assert await comfy.node.definitions(name) == {}
            with pytest.raises(NotFoundError):
                await comfy.node.definition(name)
    with pytest.raises(NotFoundError, match="Did you mean 'KSampler'"):
        await comfy.node.definition("KSamplr")


async def test_choices(comfy: Comfy) -> None:
    assert "euler" in await comfy.node.samplers()
    assert "karras" in await comfy.node.schedulers()
    for folder, ask in (
        ("checkpoints", comfy.node.checkpoints),
        ("loras", comfy.node.loras),
        ("upscale_models", comfy.node.upscale_models),
    ):
        names = {file.name for file in await comfy.model.files(folder)}
        assert set(await ask()) == names
    vaes = {file.name for file in await comfy.model.files("vae")}
    assert set(await comfy.node.vaes()) >= vaes
    assert "area" in await comfy.node.choices("ImageScale", "upscale_method")
    with pytest.raises(NotFoundError, match="it is of type 'INT'"):
        await comfy.node.choices("KSampler", "seed")


async def test_a_choice_that_is_at_another_route(comfy: Comfy) -> None:
    saved = await comfy.run(image())
    filename = saved["9"]["images"][0]["filename"]
    offered = await comfy.node.choices("LoadImageOutput", "image")
    assert any(option.removesuffix(" [output]") == filename for option in offered)
    prompt = {
        "1": node("LoadImageOutput", image=f"{filename} [output]"),
        "2": node("PreviewImage", images=["1", 0]),
    }
    assert (await comfy.run(prompt))["2"]["images"]


# Models


async def test_models(comfy: Comfy) -> None:
    folders = await comfy.model.folders()
    assert {"checkpoints", "loras", "vae"} <= {folder.name for folder in folders}
    assert all(folder.paths for folder in folders)
    for folder in folders:
        files = await comfy.model.files(folder.name)
        for file in files[:MOST_ASKED]:
            assert file.size is not None
            assert file.modified is not None
            assert file.created is not None
            assert 2000 < file.modified.year < 2100
            assert 0 <= file.path_index < len(folder.paths)
            await ask_about(comfy, file)
    for name in ("lora", "no/such folder", "..", ""):
        with pytest.raises(NotFoundError, match="the server has no folder of models"):
            await comfy.model.files(name)


async def ask_about(comfy: Comfy, file: ModelFile) -> None:
    """Ask for a file's preview and metadata, unless the server cannot read it."""
    try:
        preview = await comfy.model.preview(file)
        metadata = await comfy.model.metadata(file)
    except ResponseError as error:
        if error.status != 500:
            raise
        return
    assert preview is None or (preview.content and preview.content_type == "image/webp")
    assert metadata is None or file.name.endswith(".safetensors")


async def test_what_is_not_there_has_neither_preview_nor_metadata(comfy: Comfy) -> None:
    for file in (
        ModelFile("loras", "no such file.safetensors"),
        ModelFile("no such folder", "a.safetensors"),
        ModelFile("vae", "?"),
    ):
        assert await comfy.model.preview(file) is None
        assert await comfy.model.metadata(file) is None
    with pytest.raises(ResponseError, match="HTTP status 500"):
        await comfy.model.preview(ModelFile("loras", "a.safetensors", 999))


# The rest


async def test_the_rest(comfy: Comfy) -> None:
    can = (await comfy.system.info()).can
    assert all(path.endswith(".js") for path in await comfy.misc.extensions())
    embeddings = {os.path.splitext(file.name)[0] for file in await comfy.model.files("embeddings")}
    assert set(await comfy.misc.embeddings()) == embeddings
    assert isinstance(await comfy.misc.translations(), dict)
    replacements = await comfy.misc.node_replacements()
    assert can.node_replacements or not replacements
    for old, alternatives in replacements.items():
        assert all(each["old_node_id"] == old for each in alternatives)


async def test_templates(comfy: Comfy) -> None:
    templates = await comfy.misc.workflow_templates()
    for pack, name in itertools.islice(
        ((pack, name) for pack, names in templates.items() for name in names), MOST_ASKED
    ):
        with suppress(NotFoundError):  # servers hand out less than they list
            assert isinstance(await comfy.misc.workflow_template(pack, name), dict)
    with pytest.raises(NotFoundError):
        await comfy.misc.workflow_template("no such pack", "nothing")
    categories = await comfy.misc.core_templates()
    names = [each["name"] for category in categories for each in category["templates"]]
    for name in names[:MOST_ASKED]:
        assert "nodes" in await comfy.misc.core_template(name)
    with pytest.raises(NotFoundError, match="no workflow template 'no/such%20template'"):
        await comfy.misc.core_template("no/such%20template")


async def test_subgraphs(comfy: Comfy) -> None:
    can = (await comfy.system.info()).can
    subgraphs = await comfy.misc.global_subgraphs()
    assert can.global_subgraphs or not subgraphs
    for subgraph in subgraphs[:MOST_ASKED]:
        assert subgraph.source in {"custom_node", "templates"}
        assert subgraph.node_pack
        try:
            one = await comfy.misc.global_subgraph(subgraph.id)
        except ResponseError as error:
            if "JSON in its data" not in str(error):
                raise
            continue
        assert one == subgraph
        assert one is not None
        assert one.data is not None
        assert "nodes" in one.data
    assert await comfy.misc.global_subgraph("nothing") is None


async def test_help_pages(comfy: Comfy) -> None:
    page = await comfy.node.help_page("KSampler")
    assert page is None or "KSampler" in page  # the package of pages may not be installed
    assert await comfy.node.help_page("no such class") is None
