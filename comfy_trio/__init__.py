"""Drive ComfyUI from Trio: cancel-scoped jobs; nothing hangs, nothing leaks, nothing is lost.

General layout, each layer importing only from those before it:

1. ``_wire``, ``_replies``, ``_routes``, ``_graph``, ``_workflow``, ``_state``, ``_machine``,
   ``_validation`` and what they need: pure functions of values, importable without trio;
2. ``_transport``, ``_http``, ``_download``, ``_websocket``, ``_network``: bytes to and from a
   server;
3. ``_connection``, ``_tracker``, ``_supervisor``, ``_session``: the tasks behind a client;
4. ``_job``, ``_namespaces``, ``_client``: what a program holds in its hands;
5. ``_dispatcher``, ``_pool``: many servers as one;
6. ``__main__`` and ``_cli``: the command line. ``testing`` stands beside the client.

This file only re-exports, and does so on first use: ``import comfy_trio`` alone loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._batch import Batch as Batch
    from ._batch import BatchItem as BatchItem
    from ._breaker import BreakerPolicy as BreakerPolicy
    from ._canvas_prompt import ConvertedCanvas as ConvertedCanvas
    from ._canvas_prompt import convert_canvas as convert_canvas
    from ._capabilities import Capabilities as Capabilities
    from ._check import validate as validate
    from ._client import Comfy as Comfy
    from ._client import open_comfy as open_comfy
    from ._connection_state import ConnectionChanged as ConnectionChanged
    from ._connection_state import ConnectionState as ConnectionState
    from ._connection_state import ReconnectPolicy as ReconnectPolicy
    from ._credentials import AuthHeaders as AuthHeaders
    from ._credentials import BasicCredentials as BasicCredentials
    from ._credentials import BearerCredentials as BearerCredentials
    from ._credentials import ComfyCloudCredentials as ComfyCloudCredentials
    from ._credentials import Credentials as Credentials
    from ._credentials import HeaderCredentials as HeaderCredentials
    from ._credentials import TokenCredentials as TokenCredentials
    from ._disappearance import Disappearance as Disappearance
    from ._download import FileStream as FileStream
    from ._errors import AlreadyExistsError as AlreadyExistsError
    from ._errors import AssetError as AssetError
    from ._errors import AuthenticationError as AuthenticationError
    from ._errors import ComfyError as ComfyError
    from ._errors import CredentialsError as CredentialsError
    from ._errors import CustomEventError as CustomEventError
    from ._errors import DisconnectedError as DisconnectedError
    from ._errors import EnqueueFailedError as EnqueueFailedError
    from ._errors import ErrorCode as ErrorCode
    from ._errors import ExecutionFailedError as ExecutionFailedError
    from ._errors import ExecutionInterruptedError as ExecutionInterruptedError
    from ._errors import FailedCacheError as FailedCacheError
    from ._errors import FileError as FileError
    from ._errors import ForbiddenError as ForbiddenError
    from ._errors import InputError as InputError
    from ._errors import InternalError as InternalError
    from ._errors import JobError as JobError
    from ._errors import MissingNodeError as MissingNodeError
    from ._errors import NodeErrors as NodeErrors
    from ._errors import NotComfyUIError as NotComfyUIError
    from ._errors import NotFoundError as NotFoundError
    from ._errors import PaymentRequiredError as PaymentRequiredError
    from ._errors import PicturesLostError as PicturesLostError
    from ._errors import ReplySummary as ReplySummary
    from ._errors import ReplyTooLargeError as ReplyTooLargeError
    from ._errors import RequestTooLargeError as RequestTooLargeError
    from ._errors import ResponseError as ResponseError
    from ._errors import ServerCrashedError as ServerCrashedError
    from ._errors import ServerUnreachableError as ServerUnreachableError
    from ._errors import ServiceUnavailableError as ServiceUnavailableError
    from ._errors import TooManyRequestsError as TooManyRequestsError
    from ._errors import UnknownUserError as UnknownUserError
    from ._errors import UnsupportedError as UnsupportedError
    from ._errors import WentMissingError as WentMissingError
    from ._errors import WorkflowError as WorkflowError
    from ._errors import WorkflowNotSupportedError as WorkflowNotSupportedError
    from ._events import Failed as Failed
    from ._events import Finished as Finished
    from ._events import ImageReceived as ImageReceived
    from ._events import JobEvent as JobEvent
    from ._events import NodeStarted as NodeStarted
    from ._events import Output as Output
    from ._events import Pending as Pending
    from ._events import Preview as Preview
    from ._events import Progress as Progress
    from ._events import ProgressPercent as ProgressPercent
    from ._events import Started as Started
    from ._events import Text as Text
    from ._graph import Graph as Graph
    from ._job import Job as Job
    from ._local import LocalComfy as LocalComfy
    from ._local import open_local_comfy as open_local_comfy
    from ._local_server import LocalServer as LocalServer
    from ._mailbox import Subscription as Subscription
    from ._namespaces._assets import AssetIterator as AssetIterator
    from ._namespaces._assets import AssetNamespace as AssetNamespace
    from ._namespaces._feature_flags import FeatureFlagsNamespace as FeatureFlagsNamespace
    from ._namespaces._file import FileNamespace as FileNamespace
    from ._namespaces._history import HistoryNamespace as HistoryNamespace
    from ._namespaces._jobs import JobsNamespace as JobsNamespace
    from ._namespaces._manager import ManagerNamespace as ManagerNamespace
    from ._namespaces._misc import MiscNamespace as MiscNamespace
    from ._namespaces._model import ModelNamespace as ModelNamespace
    from ._namespaces._monitor import MonitorNamespace as MonitorNamespace
    from ._namespaces._node import NodeNamespace as NodeNamespace
    from ._namespaces._queue import QueueNamespace as QueueNamespace
    from ._namespaces._system import SystemNamespace as SystemNamespace
    from ._namespaces._terminal import TerminalNamespace as TerminalNamespace
    from ._namespaces._user import UserNamespace as UserNamespace
    from ._namespaces._user_data import UserDataNamespace as UserDataNamespace
    from ._open_pool import open_pool as open_pool
    from ._output_files import output_files as output_files
    from ._pick import PickMode as PickMode
    from ._pick import PickStrategy as PickStrategy
    from ._pick import ServerLoad as ServerLoad
    from ._pool import Pool as Pool
    from ._pool_job import JobAttempt as JobAttempt
    from ._pool_job import PoolJob as PoolJob
    from ._pool_job import PoolJobStatus as PoolJobStatus
    from ._pool_server import PoolServer as PoolServer
    from ._pool_statistics import PoolServerState as PoolServerState
    from ._pool_statistics import PoolServerStatistics as PoolServerStatistics
    from ._pool_statistics import PoolStatistics as PoolStatistics
    from ._profile import JobProfile as JobProfile
    from ._profile import NodeProfile as NodeProfile
    from ._profile import ServerProfile as ServerProfile
    from ._prompt_builder import PromptBuilder as PromptBuilder
    from ._reference import JobReference as JobReference
    from ._result import JobResult as JobResult
    from ._result import ReceivedImage as ReceivedImage
    from ._routes._asset_scans import AssetScan as AssetScan
    from ._routes._asset_tags import TagChange as TagChange
    from ._routes._asset_tags import TagPage as TagPage
    from ._routes._asset_tags import TagUsage as TagUsage
    from ._routes._assets import Asset as Asset
    from ._routes._assets import AssetFilter as AssetFilter
    from ._routes._assets import AssetPage as AssetPage
    from ._routes._assets import NewAsset as NewAsset
    from ._routes._history import HistoryEntry as HistoryEntry
    from ._routes._jobs import JobInfo as JobInfo
    from ._routes._jobs import JobPage as JobPage
    from ._routes._manager_protocol import ManagerGeneration as ManagerGeneration
    from ._routes._manager_values import ComfyUIVersions as ComfyUIVersions
    from ._routes._manager_values import InstalledPack as InstalledPack
    from ._routes._manager_values import ManagerChannels as ManagerChannels
    from ._routes._manager_values import ManagerModel as ManagerModel
    from ._routes._manager_values import ManagerPack as ManagerPack
    from ._routes._manager_values import ManagerQueueStatus as ManagerQueueStatus
    from ._routes._manager_values import ManagerTaskResult as ManagerTaskResult
    from ._routes._manager_values import PackNodes as PackNodes
    from ._routes._misc import GlobalSubgraph as GlobalSubgraph
    from ._routes._model import ModelFile as ModelFile
    from ._routes._model import ModelFolder as ModelFolder
    from ._routes._model import ModelPreview as ModelPreview
    from ._routes._monitor import Gpu as Gpu
    from ._routes._monitor import GpuReading as GpuReading
    from ._routes._monitor import MonitorReading as MonitorReading
    from ._routes._queue import QueueEntry as QueueEntry
    from ._routes._queue import QueueState as QueueState
    from ._routes._record import JobStatus as JobStatus
    from ._routes._system import ServerInfo as ServerInfo
    from ._routes._terminal import TerminalEntry as TerminalEntry
    from ._routes._terminal import TerminalLog as TerminalLog
    from ._routes._user import Users as Users
    from ._routes._user_data import UserDataEntry as UserDataEntry
    from ._submission import Submission as Submission
    from ._submission import SubmitOptions as SubmitOptions
    from ._ticket_office import PoolJobOptions as PoolJobOptions
    from ._transpile import transpile as transpile
    from ._transport import OpenWebSocket as OpenWebSocket
    from ._transport import Transport as Transport
    from ._transport import WebSocket as WebSocket
    from ._transport import WebSocketClosed as WebSocketClosed
    from ._transport import WebSocketRejected as WebSocketRejected
    from ._transport import WebSocketUnreachable as WebSocketUnreachable
    from ._unknown_node import UnknownNode as UnknownNode
    from ._upload import UploadedFile as UploadedFile
    from ._validation_report import Conversion as Conversion
    from ._validation_report import Finding as Finding
    from ._validation_report import FindingKind as FindingKind
    from ._validation_report import Validation as Validation
    from ._wire_types import OutputFile as OutputFile
    from ._workflow import Workflow as Workflow

# The same list for the interpreter; a test compares the two.
_HOMES = {
    "_batch": "Batch BatchItem",
    "_breaker": "BreakerPolicy",
    "_canvas_prompt": "ConvertedCanvas convert_canvas",
    "_capabilities": "Capabilities",
    "_check": "validate",
    "_client": "Comfy open_comfy",
    "_connection_state": "ConnectionChanged ConnectionState ReconnectPolicy",
    "_credentials": (
        "AuthHeaders BasicCredentials BearerCredentials ComfyCloudCredentials Credentials"
        " HeaderCredentials TokenCredentials"
    ),
    "_download": "FileStream",
    "_disappearance": "Disappearance",
    "_errors": (
        "AlreadyExistsError AssetError AuthenticationError ComfyError CredentialsError"
        " CustomEventError DisconnectedError EnqueueFailedError ErrorCode ExecutionFailedError"
        " ExecutionInterruptedError FailedCacheError FileError ForbiddenError InputError"
        " InternalError JobError MissingNodeError NodeErrors NotComfyUIError NotFoundError"
        " PaymentRequiredError PicturesLostError ReplySummary ReplyTooLargeError"
        " RequestTooLargeError ResponseError ServerCrashedError ServerUnreachableError"
        " ServiceUnavailableError"
        " TooManyRequestsError UnknownUserError UnsupportedError WentMissingError WorkflowError"
        " WorkflowNotSupportedError"
    ),
    "_events": (
        "Failed Finished ImageReceived JobEvent NodeStarted Output Pending Preview Progress"
        " ProgressPercent Started Text"
    ),
    "_graph": "Graph",
    "_job": "Job",
    "_local": "LocalComfy open_local_comfy",
    "_local_server": "LocalServer",
    "_mailbox": "Subscription",
    "_namespaces._assets": "AssetIterator AssetNamespace",
    "_namespaces._feature_flags": "FeatureFlagsNamespace",
    "_namespaces._file": "FileNamespace",
    "_namespaces._history": "HistoryNamespace",
    "_namespaces._jobs": "JobsNamespace",
    "_namespaces._manager": "ManagerNamespace",
    "_namespaces._misc": "MiscNamespace",
    "_namespaces._model": "ModelNamespace",
    "_namespaces._monitor": "MonitorNamespace",
    "_namespaces._node": "NodeNamespace",
    "_namespaces._queue": "QueueNamespace",
    "_namespaces._system": "SystemNamespace",
    "_namespaces._terminal": "TerminalNamespace",
    "_namespaces._user": "UserNamespace",
    "_namespaces._user_data": "UserDataNamespace",
    "_open_pool": "open_pool",
    "_output_files": "output_files",
    "_pick": "PickMode PickStrategy ServerLoad",
    "_pool": "Pool",
    "_pool_job": "JobAttempt PoolJob PoolJobStatus",
    "_pool_server": "PoolServer",
    "_pool_statistics": "PoolServerState PoolServerStatistics PoolStatistics",
    "_profile": "JobProfile NodeProfile ServerProfile",
    "_prompt_builder": "PromptBuilder",
    "_reference": "JobReference",
    "_result": "JobResult ReceivedImage",
    "_routes._asset_scans": "AssetScan",
    "_routes._asset_tags": "TagChange TagPage TagUsage",
    "_routes._assets": "Asset AssetFilter AssetPage NewAsset",
    "_routes._history": "HistoryEntry",
    "_routes._jobs": "JobInfo JobPage",
    "_routes._manager_protocol": "ManagerGeneration",
    "_routes._manager_values": (
        "ComfyUIVersions InstalledPack ManagerChannels ManagerModel ManagerPack"
        " ManagerQueueStatus ManagerTaskResult PackNodes"
    ),
    "_routes._misc": "GlobalSubgraph",
    "_routes._model": "ModelFile ModelFolder ModelPreview",
    "_routes._monitor": "Gpu GpuReading MonitorReading",
    "_routes._queue": "QueueEntry QueueState",
    "_routes._record": "JobStatus",
    "_routes._system": "ServerInfo",
    "_routes._terminal": "TerminalEntry TerminalLog",
    "_routes._user": "Users",
    "_routes._user_data": "UserDataEntry",
    "_submission": "Submission SubmitOptions",
    "_ticket_office": "PoolJobOptions",
    "_transpile": "transpile",
    "_transport": (
        "OpenWebSocket Transport WebSocket WebSocketClosed WebSocketRejected WebSocketUnreachable"
    ),
    "_unknown_node": "UnknownNode",
    "_upload": "UploadedFile",
    "_validation_report": "Conversion Finding FindingKind Validation",
    "_wire_types": "OutputFile",
    "_workflow": "Workflow",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # or else checkers would believe in any name
    __all__ = sorted(_HOME_OF)

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{home}", __name__), name)
        if isinstance(value, type):
            value.__module__ = __name__  # where people find it, also in tracebacks
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*_HOME_OF, "__version__"])
