"""What the double of ComfyUI-Manager knows, and what it holds in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, final

import attrs
import trio

if TYPE_CHECKING:
    from comfy_trio._util import JSONObject


class Task(NamedTuple):
    """Something to be done."""

    kind: str
    task_id: str
    target: str
    client_id: str | None = None


@final
@attrs.frozen(kw_only=True)
class KnownPack:
    """A pack that the lists of the double have.

    Args:
        id: Its name in the registry.
        title: For people.
        repository: Its URL.
        latest: Its latest version.
        nodes: The classes in it.
        installed: The version that is installed at first; None for none.
    """

    id: str
    title: str
    repository: str
    latest: str = "1.0.0"
    nodes: tuple[str, ...] = ()
    installed: str | None = None


PACKS: Final = (
    KnownPack(
        id="comfyui-impact-pack",
        title="ComfyUI Impact Pack",
        repository="https://github.com/ltdrdata/ComfyUI-Impact-Pack",
        latest="8.22.2",
        nodes=("FaceDetailer", "ImpactWildcardProcessor"),
    ),
    KnownPack(
        id="comfyui-crystools",
        title="Crystools",
        repository="https://github.com/crystian/comfyui-crystools",
        latest="1.27.4",
        nodes=("Primitive boolean [Crystools]",),
        installed="1.27.0",
    ),
)
MODELS: Final[tuple[JSONObject, ...]] = (
    {
        "name": "TAESD Decoder",
        "type": "TAESD",
        "base": "SD1.x",
        "save_path": "vae_approx",
        "description": "To view the preview in high quality.",
        "reference": "https://github.com/madebyollin/taesd",
        "filename": "taesd_decoder.safetensors",
        "url": "https://github.com/madebyollin/taesd/raw/main/taesd_decoder.safetensors",
        "size": "4.91MB",
    },
)


@attrs.define
class ManagerMemory:
    """What it holds until the server is started anew."""

    tasks: deque[Task] = attrs.field(factory=deque[Task])
    running: Task | None = None
    at_work: bool = False
    results: dict[str, str] = attrs.field(factory=dict[str, str])
    model_results: dict[str, str] = attrs.field(factory=dict[str, str])
    history: dict[str, JSONObject] = attrs.field(factory=dict[str, "JSONObject"])
    wake: trio.Event = attrs.field(factory=trio.Event)
