"""All namespaces of a client. Each is imported when it is first used, not with every client."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .._submitter import Submitter

if TYPE_CHECKING:
    from .._session import Session
    from .._util import JSONObject
    from ._assets import AssetNamespace
    from ._feature_flags import FeatureFlagsNamespace
    from ._file import FileNamespace
    from ._history import HistoryNamespace
    from ._jobs import JobsNamespace
    from ._manager import ManagerNamespace
    from ._misc import MiscNamespace
    from ._model import ModelNamespace
    from ._monitor import MonitorNamespace
    from ._node import NodeNamespace
    from ._queue import QueueNamespace
    from ._system import SystemNamespace
    from ._terminal import TerminalNamespace
    from ._user import UserNamespace


class Namespaces:
    """What `Comfy` offers of its server, by groups of routes."""

    _session: Session
    _extra_data: JSONObject

    @cached_property
    def _submitter(self) -> Submitter:
        return Submitter(self._session, self, self._extra_data)

    @cached_property
    def assets(self) -> AssetNamespace:
        """Files that the server keeps track of, by content and with tags."""
        from ._assets import AssetNamespace

        return AssetNamespace._create(self._session.http)

    @cached_property
    def feature_flags(self) -> FeatureFlagsNamespace:
        """What the server and this client tell each other that they can do."""
        from ._feature_flags import FeatureFlagsNamespace

        return FeatureFlagsNamespace._create(self._session, self.system)

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
    def manager(self) -> ManagerNamespace:
        """Packs of custom nodes, where ComfyUI-Manager is installed."""
        from ._manager import ManagerNamespace

        return ManagerNamespace._create(self._session)

    @cached_property
    def misc(self) -> MiscNamespace:
        """What the server has besides nodes and models."""
        from ._misc import MiscNamespace

        return MiscNamespace._create(self._session.http)

    @cached_property
    def model(self) -> ModelNamespace:
        """The files of models that the server has."""
        from ._model import ModelNamespace

        return ModelNamespace._create(self._session.http)

    @cached_property
    def monitor(self) -> MonitorNamespace:
        """What the server's machine is busy with, where Crystools is installed."""
        from ._monitor import MonitorNamespace

        return MonitorNamespace._create(self._session)

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

    @cached_property
    def system(self) -> SystemNamespace:
        """The server itself: its state, its memory, and what it can do."""
        from ._system import SystemNamespace

        return SystemNamespace._create(self._session)

    @cached_property
    def terminal(self) -> TerminalNamespace:
        """The server's log."""
        from ._terminal import TerminalNamespace

        return TerminalNamespace._create(self._session)

    @cached_property
    def user(self) -> UserNamespace:
        """The server's users, and their settings."""
        from ._user import UserNamespace

        return UserNamespace._create(self._session.http)
