"""All namespaces of a client. Each is imported when it is first used, not with every client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .._submitter import Submitter

if TYPE_CHECKING:
    from .._session import Session
    from .._util import JSONObject
    from ._file import FileNamespace
    from ._history import HistoryNamespace
    from ._jobs import JobsNamespace
    from ._node import NodeNamespace
    from ._queue import QueueNamespace


class Namespaces:
    """What `Comfy` offers of its server, by groups of routes."""

    _session: Session
    _extra_data: JSONObject

    @cached_property
    def _submitter(self) -> Submitter:
        return Submitter(self._session, self.node, self.file, self._extra_data)

    @cached_property
    def file(self) -> FileNamespace:
        """Files at the server."""
        from ._file import FileNamespace

        return FileNamespace._create(self._session.http)

    @cached_property
    def history(self) -> HistoryNamespace:
        """The jobs that are over."""
        from ._history import HistoryNamespace

        return HistoryNamespace._create(self._session.http)

    @cached_property
    def jobs(self) -> JobsNamespace:
        """The jobs that wait, run or are over, whoever's they are."""
        from ._jobs import JobsNamespace

        return JobsNamespace._create(self._session)

    @cached_property
    def node(self) -> NodeNamespace:
        """The classes of nodes that the server has."""
        from ._node import NodeNamespace

        return NodeNamespace._create(self._session.http)

    @cached_property
    def queue(self) -> QueueNamespace:
        """The jobs that wait or run, whoever's they are."""
        from ._queue import QueueNamespace

        return QueueNamespace._create(self._session, self._submitter)
