"""The embedded server, for programs on this machine or others to talk to."""

# No postponed annotations in modules of commands: cyclopts reads them.

import errno
from functools import partial
from typing import Annotated, Any, final

import attrs
import trio
from cyclopts import Parameter, validators

from ..testing import open_embedded_server
from ..testing._diffusion_nodes import DEFAULT_SECONDS_PER_STEP
from ..testing._server import MAX_UPLOAD_SIZE
from ..testing._versions import DEFAULT_VERSION, capabilities
from ._screen import Screen
from ._supervise import CommandError, supervise

PORT = 8188
"""The port that ComfyUI has, and clients try first."""


def _check_version(_type: Any, version: str) -> None:
    capabilities(version)


@final
@attrs.frozen(kw_only=True)
class ServeOptions:
    """What `serve` was asked for; see there."""

    host: str = "127.0.0.1"
    port: int = PORT
    version: str = DEFAULT_VERSION
    seconds_per_step: float = DEFAULT_SECONDS_PER_STEP
    base_directory: str | None = None
    max_upload_size: float = MAX_UPLOAD_SIZE / 2**20


async def serve(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lt=2**16))] = PORT,
    version: Annotated[str, Parameter(validator=_check_version)] = DEFAULT_VERSION,
    seconds_per_step: Annotated[
        float, Parameter(validator=validators.Number(gte=0))
    ] = DEFAULT_SECONDS_PER_STEP,
    base_directory: str | None = None,
    max_upload_size: Annotated[
        float, Parameter(validator=validators.Number(gt=0))
    ] = MAX_UPLOAD_SIZE / 2**20,
) -> int:
    """Run the embedded server until Ctrl-C. It speaks as ComfyUI does, and holds no model.

    Args:
        host: The address to listen at; 0.0.0.0 for all. There is no password.
        port: The port; 0 for any that is free.
        version: The version of ComfyUI to play.
        seconds_per_step: How long a step of a sampler takes.
        base_directory: Where its directories input, output and temp are. Default: a temporary
            directory, deleted in the end.
        max_upload_size: The largest request body in MiB, as with ComfyUI.
    """
    options = ServeOptions(
        host=host,
        port=port,
        version=version,
        seconds_per_step=seconds_per_step,
        base_directory=base_directory,
        max_upload_size=max_upload_size,
    )
    return await supervise(partial(run_serve, options), Screen(), until_interrupted=True)


async def run_serve(options: ServeOptions, screen: Screen) -> None:
    """Run the command `serve`, until cancelled.

    Raises:
        CommandError: the address cannot be listened at.
    """
    async with open_embedded_server(
        version=options.version,
        seconds_per_step=options.seconds_per_step,
        base_directory=options.base_directory,
        max_upload_size=round(options.max_upload_size * 2**20),
    ) as server:
        try:
            async with server.listen(options.host, options.port) as url:
                screen.fact("Listening", url)
                screen.prose(
                    f"It speaks as ComfyUI {server.version} does, but holds no model: its pictures"
                    " are painted, not generated."
                )
                screen.line("Ctrl-C stops it.")
                await trio.sleep_forever()
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise CommandError(
                f"cannot listen at {options.host}, port {options.port}: {error.strerror or error}"
                + (". Choose another --port; 0 is any that is free" if taken else "")
            ) from error
