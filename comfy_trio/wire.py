"""ComfyUI's WebSocket frames as values, for those who talk to a server themselves.

Importable without Trio. `comfy_trio.Comfy.server_events` yields these events too.
"""

from ._handshake import feature_flags_frame as feature_flags_frame
from ._wire import Executed as Executed
from ._wire import Executing as Executing
from ._wire import ExecutionCached as ExecutionCached
from ._wire import ExecutionError as ExecutionError
from ._wire import ExecutionInterrupted as ExecutionInterrupted
from ._wire import ExecutionStart as ExecutionStart
from ._wire import ExecutionSuccess as ExecutionSuccess
from ._wire import FeatureFlags as FeatureFlags
from ._wire import LogEntry as LogEntry
from ._wire import Logs as Logs
from ._wire import MalformedFrame as MalformedFrame
from ._wire import NodeProgress as NodeProgress
from ._wire import Notification as Notification
from ._wire import PreviewImage as PreviewImage
from ._wire import PreviewImageWithMetadata as PreviewImageWithMetadata
from ._wire import Progress as Progress
from ._wire import ProgressState as ProgressState
from ._wire import ProgressText as ProgressText
from ._wire import RawBinary as RawBinary
from ._wire import RawEvent as RawEvent
from ._wire import ServerEvent as ServerEvent
from ._wire import Status as Status
from ._wire import decode_frame as decode_frame
