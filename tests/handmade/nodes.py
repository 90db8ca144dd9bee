"""One node of each kind that the runtime knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003  # as in generated modules
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from attrs import field

from comfy_trio.graph import (
    BOOLEAN,
    COMBO,
    FLOAT,
    INT,
    JSON,
    STRING,
    Choice,
    Node,
    Options,
    Out,
    OutputNode,
    autogrow,
    dynamic,
    frozen,
    wire,
    within,
)
from comfy_trio.types import ImagesOutput

T = TypeVar("T")
SamplerName: TypeAlias = Literal["euler", "heun"]


class IMAGE:
    """IMAGE."""


class MODEL:
    """MODEL."""


class CLIP:
    """CLIP."""


class LATENT:
    """LATENT."""


@frozen(kw_only=True)
class EmptyImage(Node, Out[IMAGE]):
    """EmptyImage."""

    width: int | Out[INT] = field(default=512, validator=within(1, 16384))
    height: int | Out[INT] = field(default=512, validator=within(1, 16384))
    batch_size: int | Out[INT] = field(default=1, validator=within(1, 4096))
    color: int | Out[INT] = field(default=0, validator=within(0, 0xFFFFFF))


@frozen(kw_only=True)
class ImageInvert(Node, Out[IMAGE]):
    """ImageInvert."""

    image: Out[IMAGE]


@frozen(kw_only=True)
class SaveImage(OutputNode[ImagesOutput]):
    """SaveImage."""

    images: Out[IMAGE]
    filename_prefix: str | Out[STRING] = "ComfyUI"


@frozen(kw_only=True)
class PreviewImage(OutputNode[ImagesOutput]):
    """PreviewImage."""

    images: Out[IMAGE]


@frozen(kw_only=True)
class CheckpointLoaderSimple(Node):
    """CheckpointLoaderSimple."""

    ckpt_name: str | Out[COMBO]

    @property
    def model(self) -> Out[MODEL]:
        """Output 0."""
        return self._output(0)

    @property
    def clip(self) -> Out[CLIP]:
        """Output 1."""
        return self._output(1)


@frozen(kw_only=True)
class LoraLoader(Node, output_is_list=(False, True)):
    """LoraLoader."""

    model_: Out[MODEL] = field(alias="model")
    clip_: Out[CLIP] | None = field(default=None, alias="clip")
    strength_model: float | Out[FLOAT] = field(default=1.0, validator=within(-100.0, 100.0))

    @property
    def model(self) -> Out[MODEL]:
        """Output 0."""
        return self._output(0)

    @property
    def clip(self) -> Out[CLIP]:
        """Output 1."""
        return self._output(1)


@frozen(kw_only=True)
class KSampler(Node, Out[LATENT]):
    """KSampler."""

    model: Out[MODEL]
    seed: int | Out[INT] = field(default=0, validator=within(0, 2**64 - 1))
    steps: int | Out[INT] = field(default=20, validator=within(1, 10_000))
    sampler_name: SamplerName | Out[Options[SamplerName]]


@frozen(kw_only=True)
class Switch(Node, Out[T], Generic[T], class_type="ComfySwitchNode"):
    """Switch."""

    switch: bool | Out[BOOLEAN]
    on_true: Out[T]
    on_false: Out[T]


@frozen(kw_only=True)
class ImageStitch(Node, Out[IMAGE]):
    """ImageStitch."""

    images: Sequence[Out[IMAGE]] = field(metadata=autogrow(prefix="image", min=2, max=3))
    shades: Sequence[float | Out[FLOAT]] = field(
        default=(), metadata=autogrow(prefix="u", name="a shade")
    )


@frozen(kw_only=True)
class StringFormat(Node, Out[STRING]):
    """StringFormat."""

    f_string: str | Out[STRING] = "{a}"
    values: Sequence[JSON | Out[object]] | Mapping[Literal["a", "b", "c"], JSON | Out[object]] = (
        field(default=(), metadata=autogrow(names=("a", "b", "c")))
    )


@frozen(kw_only=True)
class ResizeImage(Node, Out[IMAGE]):
    """ResizeImage."""

    @frozen(kw_only=True)
    class Dimensions(Choice, key="scale dimensions"):
        """Width and height."""

        width: int | Out[INT] = field(default=512, validator=within(0, 16384))
        crop: Literal["disabled", "center"] | Out[COMBO] = "center"

    @frozen(kw_only=True)
    class Match(Choice, key="match size"):
        """As another."""

        @frozen(kw_only=True)
        class Padded(Choice, key="padded"):
            """Padded."""

            by: int | Out[INT] = field(default=8, validator=within(min=0))

        match: Out[IMAGE]
        how: Padded | Literal["cut"] = field(metadata=dynamic(Padded))

    @frozen(kw_only=True)
    class Mask(Choice, key=""):
        """A mask, and what comes with it."""

        slot: Out[IMAGE]
        feather: int | Out[INT] = field(default=0, validator=within(max=64))

    image: Out[IMAGE]
    size: Dimensions | Match | Literal["as it is"] = field(metadata=dynamic(Dimensions, Match))
    mask: Mask | None = field(default=None, metadata=dynamic(Mask))


@frozen(kw_only=True)
class OddNames(OutputNode[dict[str, Any]], Out[IMAGE], class_type="Odd|Names (x)"):
    """Odd|Names (x)."""

    from_: int | Out[INT] = field(default=1, metadata=wire("from"))
    time_embed: float | Out[FLOAT] = field(default=0.5, metadata=wire("time embed."))
    colors: Sequence[Literal["red", "green"]] | Out[COMBO] = ()
    anything: JSON | Out[object] = None
