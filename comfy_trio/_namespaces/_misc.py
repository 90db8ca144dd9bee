"""What a server has besides nodes and models: scripts, embeddings, templates, translations."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import attrs

from .._replies import require_route
from .._routes._misc import (
    CORE_TEMPLATES,
    EMBEDDINGS,
    EXTENSIONS,
    GLOBAL_SUBGRAPHS,
    NODE_REPLACEMENTS,
    PLAIN_EMBEDDINGS,
    TRANSLATIONS,
    WORKFLOW_TEMPLATES,
    core_template_request,
    embeddings_page_request,
    global_subgraph_request,
    is_page,
    read_core_templates,
    read_embeddings_page,
    read_global_subgraph,
    read_global_subgraphs,
    read_node_replacements,
    read_template,
    read_texts,
    read_translations,
    read_workflow_templates,
    workflow_template_request,
)
from .._util import NoPublicConstructor, is_list

if TYPE_CHECKING:
    from .._http import HttpClient
    from .._routes._misc import GlobalSubgraph
    from .._util import JSONObject
    from .._wire_types import NodeReplacement, TemplateCategory


@final
@attrs.define(eq=False, slots=False)
class MiscNamespace(metaclass=NoPublicConstructor):
    """`Comfy.misc`: what the server has besides nodes and models.

    Where a server is too old for something, it has none of it, and that is what is returned:
    `SystemNamespace.info` tells the difference.
    """

    _http: HttpClient = attrs.field(repr=False)

    async def extensions(self) -> tuple[str, ...]:
        """Return the paths of the scripts that the server adds to its web page.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_texts(await self._http.request(EXTENSIONS), "the paths of scripts")

    async def embeddings(self) -> tuple[str, ...]:
        """Return the names of the embeddings, as prompts mention them: ``embedding:NAME``.

        Where an extension answers ComfyUI's route with pages of its own, ComfyUI is asked by the
        older path of the route, and if a proxy lets only the newer one through, the pages are read.

        Raises:
            UnsupportedError: the server has no route for this at all.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        reply = await self._http.request(EMBEDDINGS)
        if not is_page(reply) and reply.status != 404:
            return read_texts(reply, "the names of embeddings")
        plain = await self._http.request(PLAIN_EMBEDDINGS)
        if plain.status == 200 and is_list(plain.json()):
            return read_texts(plain, "the names of embeddings")
        require_route(reply, "lists of embeddings")
        return await self._embeddings_by_page()

    async def _embeddings_by_page(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        page = known = 0
        while page == 0 or len(names) > known:  # until a page has nothing new
            page, known = page + 1, len(names)
            reply = await self._http.request(embeddings_page_request(page))
            names.update(dict.fromkeys(read_embeddings_page(reply)))
        return tuple(names)

    async def translations(self) -> dict[str, JSONObject]:
        """Return what packs of custom nodes translate for the web page, by language.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_translations(await self._http.request(TRANSLATIONS))

    async def node_replacements(self) -> dict[str, list[NodeReplacement]]:
        """Return what takes the place of classes of nodes that are gone, by the old class.

        The server uses the first one itself when a prompt names a class that it does not have.
        Empty for servers before 0.14, which replace nothing.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_node_replacements(await self._http.request(NODE_REPLACEMENTS))

    async def workflow_templates(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the templates that packs of custom nodes bring, by pack.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_workflow_templates(await self._http.request(WORKFLOW_TEMPLATES))

    async def workflow_template(self, pack: str, name: str) -> JSONObject:
        """Return a template of a pack of custom nodes; `Comfy.load` makes a workflow of it.

        Args:
            pack: The pack, and
            name: its template, as `workflow_templates` lists them.

        Raises:
            NotFoundError: the server does not have it, or does not hand it out.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        missing = (
            f"the server hands out no template {name!r} of the pack {pack!r}. ComfyUI lists more"
            " than it hands out: none of packs that did not load, or whose name is no plain path,"
            " and only what is in the first of a pack's folders for them"
        )
        request = workflow_template_request(pack, name)
        return read_template(await self._http.request(request), missing)

    async def core_templates(self) -> list[TemplateCategory]:
        """Return the index of ComfyUI's own workflow templates; empty if it has none installed.

        It is at a path outside of ``/api``, which a proxy may not let through.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_core_templates(await self._http.request(CORE_TEMPLATES))

    async def core_template(self, name: str) -> JSONObject:
        """Return one of ComfyUI's own templates; `Comfy.load` makes a workflow of it.

        Args:
            name: Its name in `core_templates`.

        Raises:
            NotFoundError: the server does not have it.
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        missing = f"the server has no workflow template {name!r}"
        return read_template(await self._http.request(core_template_request(name)), missing)

    async def global_subgraphs(self) -> tuple[GlobalSubgraph, ...]:
        """Return the subgraphs that the server offers for any workflow, without their data.

        Empty for servers before 0.3.67, which offer none.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_global_subgraphs(await self._http.request(GLOBAL_SUBGRAPHS))

    async def global_subgraph(self, subgraph_id: str) -> GlobalSubgraph | None:
        """Return one subgraph with its data; None if the server does not have it.

        Args:
            subgraph_id: Its id in `global_subgraphs`.

        Raises:
            ResponseError: the request failed, or what the server has there is no JSON.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        request = global_subgraph_request(subgraph_id)
        return read_global_subgraph(await self._http.request(request), subgraph_id)
