"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from .._address import parse_address


def _check_url(_type: Any, url: str | None) -> None:
    if url is not None:
        parse_address(url)


ServerURL: TypeAlias = Annotated[str, Parameter(validator=_check_url)]
"""The address of a ComfyUI server, checked when the arguments are read."""

Flag: TypeAlias = Annotated[bool, Parameter(negative=())]
"""An option that is said or not."""
