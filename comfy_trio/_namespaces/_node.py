"""What a server's nodes are: their classes, as it declares them in `/object_info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import attrs

from .._routes._node import (
    definitions_request,
    help_page_request,
    names_offered,
    read_definitions,
    read_help_page,
    read_remote_choice,
    require_choice,
    require_definition,
)
from .._util import NoPublicConstructor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._http import HttpClient
    from .._replies import Reply
    from .._util import JSONObject


@final
@attrs.define(eq=False, slots=False)
class NodeNamespace(metaclass=NoPublicConstructor):
    """`Comfy.node`: the classes of nodes that the server has."""

    _http: HttpClient = attrs.field(repr=False)
    _latest: dict[str, JSONObject] = attrs.field(
        factory=dict[str, "JSONObject"], init=False, repr=False
    )

    async def definitions(self, class_type: str | None = None) -> dict[str, JSONObject]:
        """Return what the server declares of its classes of nodes, by class.

        Each is asked for anew: choices such as file names change while a server runs. What comes
        is also what `Comfy.validate` goes by from then on.

        Args:
            class_type: The class to ask for; the result is empty if the server does not have it.
                Default: all of them, which is some megabytes on a server with many custom nodes.
                A class that fails to describe itself is missing there.

        Raises:
            ResponseError: the request failed; for one class also, if that fails to describe itself.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        reply = await self._http.request(definitions_request(class_type))
        found = read_definitions(reply, class_type)
        if class_type is None:
            self._latest = dict(found)
        else:
            self._update_latest(found)
        return found

    async def definition(self, class_type: str) -> JSONObject:
        """Return what the server declares of one class of nodes, asked for anew.

        Args:
            class_type: The class.

        Raises:
            NotFoundError: the server does not have it.
            ResponseError: the request failed, as it does if the class fails to describe itself.
            ServerUnreachableError, DisconnectedError: the request failed.
        """
        return (await self._describe(class_type))[1]

    async def help_page(self, class_type: str, language: str = "en") -> str | None:
        """Return what ComfyUI's own documentation says of a class, in Markdown; None if nothing.

        It is what the web page shows as a node's help. Servers have it for most classes of ComfyUI
        itself, if the package ``comfyui-embedded-docs`` is installed there; a proxy may not let its
        path through, which is outside of ``/api``.

        Args:
            class_type: The class.
            language: As the web page calls it, such as ``zh`` or ``pt-BR``. Default: English.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return read_help_page(await self._http.request(help_page_request(class_type, language)))

    async def choices(self, class_type: str, input_name: str) -> tuple[Any, ...]:
        """Return what an input of a class lets one choose from, in the server's order.

        Servers declare choices in an older and a newer form; both are read. If the options are at
        another route, this asks there, as the browser does. Of a dynamic combo, it is the keys.

        Args:
            class_type: The class.
            input_name: Its input, required or optional.

        Returns:
            The options: texts nearly always, but a class may offer numbers or others.

        Raises:
            NotFoundError: the server does not have the class, the class does not have the input,
                or the input is no choice of this server's.
            ResponseError, ServerUnreachableError, DisconnectedError: a request failed.
        """
        reply, declaration = await self._describe(class_type)
        offered = require_choice(reply, declaration, class_type, input_name)
        if isinstance(offered, tuple):
            return offered
        return read_remote_choice(await self._http.request(offered.request), offered)

    async def _describe(self, class_type: str) -> tuple[Reply, JSONObject]:
        reply = await self._http.request(definitions_request(class_type))
        declaration = require_definition(reply, class_type, self._latest)
        self._update_latest({class_type: declaration})
        return reply, declaration

    def _update_latest(self, found: Mapping[str, JSONObject]) -> None:
        if self._latest:
            self._latest = {**self._latest, **found}

    async def checkpoints(self) -> tuple[str, ...]:
        """Return the names of the checkpoints that the server can load, in its order.

        Like those below, it is what a class of ComfyUI's own offers, and empty if the server does
        not have the class: there is nothing then that such a name could be given to.

        Raises:
            ResponseError, ServerUnreachableError, DisconnectedError: the request failed.
        """
        return await self._names("CheckpointLoaderSimple", "ckpt_name")

    async def loras(self) -> tuple[str, ...]:
        """Return the names of the LoRAs that the server can load; see `checkpoints`."""
        return await self._names("LoraLoader", "lora_name")

    async def vaes(self) -> tuple[str, ...]:
        """Return the names of the VAEs that the server can load; see `checkpoints`."""
        return await self._names("VAELoader", "vae_name")

    async def upscale_models(self) -> tuple[str, ...]:
        """Return the names of the models for upscaling; see `checkpoints`."""
        return await self._names("UpscaleModelLoader", "model_name")

    async def samplers(self) -> tuple[str, ...]:
        """Return the names of the samplers that KSampler takes; see `checkpoints`."""
        return await self._names("KSampler", "sampler_name")

    async def schedulers(self) -> tuple[str, ...]:
        """Return the names of the schedulers that KSampler takes; see `checkpoints`."""
        return await self._names("KSampler", "scheduler")

    async def _names(self, class_type: str, input_name: str) -> tuple[str, ...]:
        found = await self.definitions(class_type)
        return names_offered(found.get(class_type, {}), input_name)
