# Generated from codegen/schemas, do not edit: change those and run `nox -s codegen -- --write`.
# schemas: sha256 93cac20693ce77e5
"""What goes over ComfyUI's wire, as JSON reads it: `TypedDict` classes for annotations.

They hold the keys that ComfyUI's core sends, from 0.3.40 on. A key that not all servers send is
`typing.NotRequired`; servers and custom nodes may add more. Nothing is checked at run time.
"""

from ._wire_types import AudioOutput as AudioOutput
from ._wire_types import BoundingBoxesOutput as BoundingBoxesOutput
from ._wire_types import CancelReply as CancelReply
from ._wire_types import CoreTemplate as CoreTemplate
from ._wire_types import Device as Device
from ._wire_types import ExecInfo as ExecInfo
from ._wire_types import ExecutedData as ExecutedData
from ._wire_types import ExecutingData as ExecutingData
from ._wire_types import ExecutionCachedData as ExecutionCachedData
from ._wire_types import ExecutionErrorData as ExecutionErrorData
from ._wire_types import ExecutionInterruptedData as ExecutionInterruptedData
from ._wire_types import ExecutionStartData as ExecutionStartData
from ._wire_types import ExecutionSuccessData as ExecutionSuccessData
from ._wire_types import Features as Features
from ._wire_types import HistogramOutput as HistogramOutput
from ._wire_types import HistoryEntry as HistoryEntry
from ._wire_types import HistoryStatus as HistoryStatus
from ._wire_types import ImageCompareOutput as ImageCompareOutput
from ._wire_types import ImagesOutput as ImagesOutput
from ._wire_types import InputReplacement as InputReplacement
from ._wire_types import JobEntry as JobEntry
from ._wire_types import JobPreview as JobPreview
from ._wire_types import JobsPage as JobsPage
from ._wire_types import JobsReply as JobsReply
from ._wire_types import JobWorkflow as JobWorkflow
from ._wire_types import LatentsOutput as LatentsOutput
from ._wire_types import LogEntryData as LogEntryData
from ._wire_types import LogsData as LogsData
from ._wire_types import MeshesOutput as MeshesOutput
from ._wire_types import NodeProgressData as NodeProgressData
from ._wire_types import NodeReplacement as NodeReplacement
from ._wire_types import NodeValidationErrors as NodeValidationErrors
from ._wire_types import NotificationData as NotificationData
from ._wire_types import OutputFile as OutputFile
from ._wire_types import OutputMeta as OutputMeta
from ._wire_types import OutputReplacement as OutputReplacement
from ._wire_types import PackageVersion as PackageVersion
from ._wire_types import Preview3DOutput as Preview3DOutput
from ._wire_types import PreviewData as PreviewData
from ._wire_types import ProgressData as ProgressData
from ._wire_types import ProgressStateData as ProgressStateData
from ._wire_types import PromptError as PromptError
from ._wire_types import PromptNode as PromptNode
from ._wire_types import PromptNodeMeta as PromptNodeMeta
from ._wire_types import PromptReply as PromptReply
from ._wire_types import QueueItem as QueueItem
from ._wire_types import QueueReply as QueueReply
from ._wire_types import QueueStatus as QueueStatus
from ._wire_types import SavedTextOutput as SavedTextOutput
from ._wire_types import ShaderOutput as ShaderOutput
from ._wire_types import StatusData as StatusData
from ._wire_types import System as System
from ._wire_types import SystemStats as SystemStats
from ._wire_types import TemplateCategory as TemplateCategory
from ._wire_types import TerminalSize as TerminalSize
from ._wire_types import TextOutput as TextOutput
from ._wire_types import UploadedAsset as UploadedAsset
from ._wire_types import UploadReply as UploadReply
from ._wire_types import ValidationError as ValidationError
from ._wire_types import VideoCombineOutput as VideoCombineOutput
from ._wire_types import VideoFile as VideoFile
