"""Which inputs a server checks in ways that it does not publish: ``VALIDATE_INPUTS``.

The built-in checks of range and choice skip the inputs that such a function takes, and what it
says of them nobody can know offline. The table is of ComfyUI 0.3.64 to 0.27.0 (nodes.py,
comfy_extras, comfy_api_nodes). Custom nodes that load files have one too, as a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._util import as_object
from ._validation import CustomValidation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._dynamic_inputs import InputSpec


def _passes(**_inputs: object) -> bool:
    return True


def _taking(*names: str, everything: bool = False) -> CustomValidation:
    return CustomValidation(frozenset(names), _passes, takes_all=everything)


_CORE: Final[Mapping[str, CustomValidation]] = {
    "ComfySoftSwitchNode": _taking("switch", "on_false", "on_true"),
    "CustomCombo": _taking("choice", "index", everything=True),
    "FluxProUltraImageNode": _taking("aspect_ratio"),
    "KlingCameraControls": _taking(
        *("horizontal_movement", "vertical_movement", "pan", "tilt", "roll", "zoom")
    ),
    "Load3D": _taking("model_file", everything=True),
    "Load3DAdvanced": _taking("model_file", everything=True),
    "LoadImageSetNode": _taking("images", "resize_method"),
    "LoadLatent": _taking("latent"),
    "SelectCLIPDevice": _taking("device"),
    "SelectModelDevice": _taking("device"),
    "SelectVAEDevice": _taking("device"),
    "TripoConversionNode": _taking("input_types"),
}

TAKES_ANY_INPUT: Final = frozenset({"CustomCombo"})
"""Classes that are given inputs which they do not declare; see ``ACCEPT_ALL_INPUTS``."""


def own_checks(class_type: str, specs: Iterable[tuple[str, InputSpec]]) -> CustomValidation | None:
    """Return what a class checks itself, as a check that always passes; None for nothing.

    Args:
        class_type: The class.
        specs: Its declared inputs. One with an upload button names a file, and is looked for.
    """
    known = _CORE.get(class_type)
    uploads = frozenset(name for name, spec in specs if is_upload(spec))
    if known is None:
        return CustomValidation(uploads, _passes) if uploads else None
    return CustomValidation(known.takes | uploads, _passes, takes_all=known.takes_all)


def names_file(class_type: str, name: str, spec: InputSpec) -> bool:
    """Tell whether the server looks for the file that an input names, listed or not."""
    return is_upload(spec) or (class_type, name) == ("LoadLatent", "latent")


def is_upload(spec: InputSpec) -> bool:
    """Tell whether the canvas shows an upload button at an input."""
    options = as_object(spec[1] if len(spec) > 1 else None)
    return any(key.endswith("_upload") and value for key, value in options.items())
