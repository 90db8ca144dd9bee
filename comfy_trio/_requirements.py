"""What a server must be, or have, to be given a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from ._file_choices import is_file
from ._prompt import as_link
from ._routes._node import inputs_of, read_choice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ._util import JSONObject
    from ._workflow import Workflow

NeededFile: TypeAlias = tuple[str, str, str]
"""A class, its input, and the file that is chosen there."""


@attrs.frozen(cache_hash=True)
class Needs:
    """The classes of nodes and the files that a workflow needs at its server."""

    classes: frozenset[str] = frozenset()
    files: frozenset[NeededFile] = frozenset()


@attrs.frozen(cache_hash=True, kw_only=True)
class Requirements:
    """What it takes to be given a job. Jobs of equal requirements wait in one line.

    Args:
        include: The only servers that may have it; None for all.
        exclude: Servers that may not, or cannot.
        avoid: Servers that failed at it: they get it only if there is no other that can take it.
        prefer: Servers that get it first if they are free.
        needs: What they must have.
    """

    include: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    avoid: frozenset[str] = frozenset()
    prefer: frozenset[str] = frozenset()
    needs: Needs = Needs()

    def admits(self, server_id: str) -> bool:
        """Tell whether a server of that name may have the job."""
        included = self.include is None or server_id in self.include
        return included and server_id not in self.exclude


def needs_of(workflow: Workflow) -> Needs:
    """Return what a workflow needs. Attached files are there when it runs, and bypassed nodes not.

    A value is taken for a file of the server's if it has the name of one and the class offers
    files to choose from there; see `find_lack`.
    """
    bypassed, attached = set(workflow.bypassed), set(workflow._attachments.inputs)
    nodes = {key: node for key, node in workflow._prompt.items() if key not in bypassed}
    return Needs(
        classes=frozenset(str(node["class_type"]) for node in nodes.values()),
        files=frozenset(
            (str(node["class_type"]), name, value)
            for node_id, node in nodes.items()
            for name, value in node.get("inputs", {}).items()
            if isinstance(value, str)
            and as_link(value) is None
            and is_file(value)
            and (node_id, name) not in attached
        ),
    )


def find_lack(needs: Needs, definitions: Mapping[str, JSONObject]) -> str | None:
    """Return what a server does not have of what is needed; None if it has it all.

    Args:
        needs: What is needed.
        definitions: What the server declares of its classes.
    """
    lacking: Collection[str] = sorted(needs.classes - definitions.keys())
    if lacking:
        return f"it has no class {', '.join(lacking)}"
    for class_type, name, value in sorted(needs.files):
        offered = read_choice(inputs_of(definitions[class_type]).get(name))
        if isinstance(offered, tuple) and value not in offered:
            return f"it has no {value} for {name} of {class_type}"
    return None
