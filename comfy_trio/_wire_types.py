# Generated from codegen/schemas, do not edit: change those and run `nox -s codegen -- --write`.
# generator: datamodel-code-generator 0.89
# schemas: sha256 93cac20693ce77e5
"""What goes over the wire, as JSON reads it. Servers may add keys; see `comfy_trio.types`."""

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class OutputFile(TypedDict):
    """A file as a node's output names it."""

    filename: str
    subfolder: str
    """Where in the folder; empty for its top."""
    type: str
    """The server's folder: ``output``, ``temp`` (wiped when it restarts) or ``input``."""
    id: NotRequired[str]
    """The asset, where the server keeps assets (0.25 and newer)."""
    preview_id: NotRequired[str | None]
    """The asset that holds a smaller picture of the file (newer than 0.27)."""


class VideoFile(TypedDict):
    """A file as the VideoHelperSuite nodes name it."""

    filename: str
    subfolder: str
    type: str
    format: NotRequired[str]
    """A media type such as ``video/h264-mp4``."""
    frame_rate: NotRequired[float]
    workflow: NotRequired[str]
    """The name of the picture that carries the workflow."""
    fullpath: NotRequired[str]
    """The path on the server's disk."""


class UploadedAsset(TypedDict):
    """The asset that an upload made or found."""

    id: str
    name: str
    asset_hash: NotRequired[str | None]
    size: NotRequired[int | None]
    """In bytes."""
    mime_type: NotRequired[str | None]
    tags: NotRequired[list[str]]


class UploadReply(TypedDict):
    """The reply to an upload: where the file is, as a node's input names it."""

    name: str
    """May differ from the name sent, if another file had it."""
    subfolder: str
    type: str
    asset: NotRequired[UploadedAsset]
    """Where the server keeps assets."""


class PromptNodeMeta(TypedDict):
    """What the server keeps of a node without using it."""

    title: NotRequired[str]
    """The node's name on screen."""


class PromptNode(TypedDict):
    """A node of a workflow in the API format, which is a mapping of these by node id."""

    class_type: str
    inputs: dict[str, Any]
    """By name, a value, or a link: the id of another node and the number of its output. A list that
    is no link is wrapped as ``{"__value__": [...]}``.
    """
    _meta: NotRequired[PromptNodeMeta]


class ValidationError(TypedDict):
    """One reason to refuse a prompt, a node or an input."""

    type: str
    """For programs, such as ``prompt_no_outputs`` or ``value_not_in_list``."""
    message: str
    details: str
    extra_info: dict[str, Any]
    """By ``type``, such as ``input_name``, ``input_config`` and ``received_value``."""


class NodeValidationErrors(TypedDict):
    """Why one node was refused."""

    errors: list[ValidationError]
    dependent_outputs: list[str]
    """The ids of the output nodes that need it, and so do not run."""
    class_type: str


class PromptReply(TypedDict):
    """The reply to a prompt that was accepted."""

    prompt_id: str
    number: float
    """Its place in the queue: lower runs earlier."""
    node_errors: dict[str, NodeValidationErrors]
    """The nodes that will not run while the rest does, by node id."""


class PromptError(TypedDict):
    """The reply, with status 400, to a prompt that was refused.

    Hosted servers and proxies answer otherwise.
    """

    error: ValidationError
    node_errors: dict[str, NodeValidationErrors]
    """By node id; empty if the prompt as a whole is at fault."""


class InputReplacement(TypedDict):
    """Where an input of the new class gets its value from: an old input, or a fixed value."""

    new_id: str
    old_id: NotRequired[str]
    set_value: NotRequired[Any]


class OutputReplacement(TypedDict):
    """Which output of the new class is which of the old one, counted from 0."""

    new_idx: int
    old_idx: int


class NodeReplacement(TypedDict):
    """What takes the place of a class of nodes that is gone; 0.14 and newer."""

    new_node_id: str
    """The new class."""
    old_node_id: str
    """The old class."""
    old_widget_ids: NotRequired[list[str] | None]
    """The widgets of the old class, in their order."""
    input_mapping: NotRequired[list[InputReplacement] | None]
    output_mapping: NotRequired[list[OutputReplacement] | None]


class CoreTemplate(TypedDict):
    """One of ComfyUI's own workflow templates, as their index lists it."""

    name: str
    """By which it is asked for."""
    title: NotRequired[str]
    description: NotRequired[str]
    mediaType: NotRequired[str]
    """Of its picture, such as ``image``."""
    mediaSubtype: NotRequired[str]
    """Likewise, such as ``webp``."""
    tags: NotRequired[list[str]]
    models: NotRequired[list[str]]
    date: NotRequired[str]
    """Such as ``2026-05-25``."""
    size: NotRequired[float]
    """Of the models that it wants, in bytes."""
    vram: NotRequired[float]
    """What it wants of the graphics card, in bytes."""
    tutorialUrl: NotRequired[str]


class TemplateCategory(TypedDict):
    """Some of ComfyUI's own workflow templates."""

    moduleName: NotRequired[str]
    title: NotRequired[str]
    type: NotRequired[str]
    category: NotRequired[str]
    icon: NotRequired[str]
    isEssential: NotRequired[bool]
    templates: list[CoreTemplate]


class PackageVersion(TypedDict):
    """One of ComfyUI's own packages."""

    name: str
    installed: str | None
    required: str | None


class System(TypedDict):
    """The machine and what runs on it."""

    os: str
    """Python's ``sys.platform``; before 0.4 ``os.name``."""
    ram_total: int
    """In bytes."""
    ram_free: int
    """In bytes."""
    comfyui_version: str
    required_frontend_version: NotRequired[str | None]
    installed_templates_version: NotRequired[str | None]
    required_templates_version: NotRequired[str | None]
    comfy_package_versions: NotRequired[list[PackageVersion]]
    """0.22 and newer."""
    python_version: str
    pytorch_version: str
    embedded_python: bool
    """Whether it is the portable build for Windows."""
    deploy_environment: NotRequired[str]
    """0.25 and newer."""
    argv: list[str]


class Device(TypedDict):
    """A device that computes. Memory is in bytes."""

    name: str
    type: str
    """Such as ``cuda`` or ``cpu``."""
    index: int | None
    vram_total: int
    vram_free: int
    torch_vram_total: int
    torch_vram_free: int


class SystemStats(TypedDict):
    """The reply to GET /api/system_stats."""

    system: System
    devices: list[Device]
    """The one in use first; before 0.23 no other."""


class Features(TypedDict):
    """What a server can do.

    The reply to GET /api/features, which the oldest servers lack.

    The data of a frame of type ``feature_flags``.
    """

    supports_preview_metadata: NotRequired[bool]
    max_upload_size: NotRequired[float]
    """The largest body of a request, in bytes."""
    extension: NotRequired[dict[str, Any]]
    """By extension, such as ``manager``; 0.4 and newer."""
    node_replacements: NotRequired[bool]
    """0.14 and newer."""
    assets: NotRequired[bool]
    """0.17 and newer."""
    supports_model_type_tags: NotRequired[bool]
    """Newer than 0.27."""


class ImagesOutput(TypedDict):
    """Pictures, and videos too: core nodes show both under ``images``.

    Shown by LossGraphNode, MaskPreview, Painter, PreviewImage, SAM3_TrackPreview, SaveAnimatedPNG,
    SaveAnimatedWEBP, SaveImage, SaveImageAdvanced, SaveSVGNode, SaveVideo, SaveWEBM.
    """

    images: list[OutputFile]
    animated: NotRequired[list[bool]]
    """One item: whether they move. Missing where the node does not tell."""


class AudioOutput(TypedDict):
    """Sound files.

    Shown by PreviewAudio, SaveAudio, SaveAudioAdvanced, SaveAudioMP3, SaveAudioOpus.
    """

    audio: list[OutputFile]


class LatentsOutput(TypedDict):
    """Latent images.

    Shown by SaveLatent.
    """

    latents: list[OutputFile]


MeshesOutput = TypedDict(
    "MeshesOutput",
    {
        "3d": list[OutputFile],
    },
)
"""Three-dimensional models.

Shown by SaveGLB.
"""


class Preview3DOutput(TypedDict):
    """A three-dimensional model on display.

    Shown by Preview3D, Preview3DAdvanced, Preview3DAnimation, PreviewGaussianSplat,
    PreviewPointCloud.
    """

    result: list[Any]
    """The path of the model (a string, no file), the camera or null and, on newer servers, the path
    of the background or facts on the model.
    """


class TextOutput(TypedDict):
    """Text.

    Shown by PreviewAny.
    """

    text: list[str]


class SavedTextOutput(TypedDict):
    """Text, and the files that hold it.

    Shown by SaveText.
    """

    text: list[str]
    files: list[OutputFile]


class ImageCompareOutput(TypedDict):
    """Two sets of pictures to compare; one that is not linked is empty.

    Shown by ImageCompare.
    """

    a_images: list[OutputFile]
    b_images: list[OutputFile]


class ShaderOutput(TypedDict):
    """What a shader made, and of what.

    Shown by GLSLShader.
    """

    images: list[OutputFile]
    input_images: list[OutputFile]


class BoundingBoxesOutput(TypedDict):
    """The canvas of an editor of boxes.

    Shown by CreateBoundingBoxes.
    """

    dims: list[int]
    """Width and height in pixels."""
    input_bboxes: NotRequired[list[Any]]
    """The boxes it was given."""


class HistogramOutput(TypedDict):
    """How often each brightness occurs.

    Shown by CurveEditor.
    """

    histogram: list[int]


class VideoCombineOutput(TypedDict):
    """Videos of the VideoHelperSuite; under ``gifs`` whatever their format.

    Shown by VHS_VideoCombine.
    """

    gifs: list[VideoFile]


class ExecInfo(TypedDict):
    """How busy the server is."""

    queue_remaining: int
    """How many prompts run or wait."""


class QueueStatus(TypedDict):
    """The reply to GET /api/prompt."""

    exec_info: ExecInfo


QueueItem: TypeAlias = list[Any]
"""A queued prompt: number, id, workflow, extra data, and the ids of the output nodes to run."""


class QueueReply(TypedDict):
    """The reply to GET /api/queue."""

    queue_running: list[QueueItem]
    queue_pending: list[QueueItem]
    """In no useful order: the lowest number is next, of equal ones the lowest id."""


class StatusData(TypedDict):
    """The length of the queue has changed.

    The data of a frame of type ``status``.
    """

    status: QueueStatus
    sid: NotRequired[str]
    """The client's id; only in the first frame of a connection."""


class ExecutionStartData(TypedDict):
    """A prompt has begun to run.

    The data of a frame of type ``execution_start``.
    """

    prompt_id: str
    timestamp: NotRequired[int]
    """In milliseconds since 1970."""


class ExecutionCachedData(TypedDict):
    """Which nodes need not run, because their results are in the cache.

    The data of a frame of type ``execution_cached``.
    """

    prompt_id: str
    nodes: list[str]
    timestamp: NotRequired[int]
    """In milliseconds since 1970."""


class ExecutingData(TypedDict):
    """A node has begun to run.

    The data of a frame of type ``executing``.
    """

    node: str | None
    """None if the prompt is over and its history written."""
    display_node: NotRequired[str]
    prompt_id: NotRequired[str]
    """Missing in the frame that greets a client while a node runs."""


class ProgressData(TypedDict):
    """A node's own progress bar.

    The data of a frame of type ``progress``.
    """

    value: float
    max: float
    prompt_id: NotRequired[str | None]
    node: NotRequired[str | None]


class NodeProgressData(TypedDict):
    """How far a node is."""

    value: float
    max: float
    state: Literal["pending", "running", "finished", "error"]
    """Servers so far send ``running`` and ``finished`` only."""
    node_id: str
    prompt_id: str
    display_node_id: NotRequired[str | None]
    parent_node_id: NotRequired[str | None]
    real_node_id: NotRequired[str | None]
    activity: NotRequired[Any]
    """Newer than 0.27."""


class ProgressStateData(TypedDict):
    """All nodes of a prompt that run or have run.

    The data of a frame of type ``progress_state``.
    """

    prompt_id: str
    nodes: dict[str, NodeProgressData]
    """By node id."""


class ExecutedData(TypedDict):
    """A node has shown its output.

    The data of a frame of type ``executed``.
    """

    prompt_id: str
    node: str
    display_node: NotRequired[str]
    output: dict[str, Any] | None
    """Such as an `ImagesOutput`; None where a cached node has none."""


class ExecutionSuccessData(TypedDict):
    """All nodes have run. The history is written only after this frame.

    The data of a frame of type ``execution_success``.
    """

    prompt_id: str
    timestamp: NotRequired[int]
    """In milliseconds since 1970."""


class ExecutionErrorData(TypedDict):
    """A node has failed, which ends the prompt, unless `exception_type` is ``ExecutionBlocked``.

    The data of a frame of type ``execution_error``.
    """

    prompt_id: str
    node_id: str
    node_type: str
    executed: list[str]
    """The nodes that ran before."""
    exception_message: str
    exception_type: str
    traceback: list[str]
    current_inputs: dict[str, Any] | list[Any]
    """By name, what the node was given, as text; a list if it was blocked."""
    current_outputs: list[str]
    """The ids of the nodes whose results are known."""
    timestamp: NotRequired[int]
    """In milliseconds since 1970."""


class ExecutionInterruptedData(TypedDict):
    """The prompt was interrupted while this node ran.

    The data of a frame of type ``execution_interrupted``.
    """

    prompt_id: str
    node_id: str
    node_type: str
    executed: list[str]
    """The nodes that ran before."""
    timestamp: NotRequired[int]
    """In milliseconds since 1970."""


class LogEntryData(TypedDict):
    """A piece of terminal output."""

    t: str
    """When, in ISO format."""
    m: str
    """The text, with its line ends."""


class TerminalSize(TypedDict):
    """The size of the server's terminal."""

    cols: int
    rows: int


class LogsData(TypedDict):
    """Terminal output, for those who subscribed to it.

    The data of a frame of type ``logs``.
    """

    entries: list[LogEntryData]
    size: NotRequired[TerminalSize | None]
    """None if it has not changed."""


class NotificationData(TypedDict):
    """A message for the person at the screen.

    The data of a frame of type ``notification``.
    """

    value: str
    prompt_id: NotRequired[str]


class PreviewData(TypedDict):
    """The header of a binary frame that holds a picture and tells where it comes from."""

    node_id: str
    prompt_id: str
    display_node_id: NotRequired[str | None]
    parent_node_id: NotRequired[str | None]
    real_node_id: NotRequired[str | None]
    image_type: str
    """``image/jpeg`` or ``image/png``."""


class HistoryStatus(TypedDict):
    """How a job ended."""

    status_str: Literal["success", "error"]
    """``error`` also for a job that was interrupted."""
    completed: bool
    messages: list[list[Any]]
    """Pairs of the type of a frame, such as ``execution_error``, and its data."""


class OutputMeta(TypedDict):
    """Where in the workflow an output belongs."""

    node_id: str
    """The node that ran; may be one that another node expanded to."""
    display_node: str
    """The node that shows it."""
    parent_node: str | None
    """The node that expanded to it."""
    real_node_id: str
    """The node of the workflow as sent."""


class HistoryEntry(TypedDict):
    """What the server remembers of a job.

    The reply to GET /api/history is a mapping of these by prompt id, and so is that to GET
    /api/history/{id}: empty until the job is over.
    """

    prompt: QueueItem
    outputs: dict[str, dict[str, Any]]
    """What each node shows, by node id, such as an `ImagesOutput`."""
    status: HistoryStatus | None
    meta: NotRequired[dict[str, OutputMeta]]
    """By node id."""


class JobPreview(TypedDict):
    """The output that stands for a job: a file, or the beginning of a text."""

    nodeId: str
    mediaType: str
    """The key of the node's output, such as ``images``."""
    filename: NotRequired[str]
    subfolder: NotRequired[str]
    type: NotRequired[str]
    id: NotRequired[str]
    """The file's asset."""
    content: NotRequired[str]
    """The beginning of a text."""
    truncated: NotRequired[bool]
    """Whether the text goes on."""


class JobWorkflow(TypedDict):
    """What was sent."""

    prompt: dict[str, PromptNode]
    """By node id."""
    extra_data: dict[str, Any]


class JobEntry(TypedDict):
    """A job.

    The reply to GET /api/jobs/{id} has the last three keys too, if the job is over.
    """

    id: str
    """The prompt id."""
    status: Literal["pending", "in_progress", "completed", "failed", "cancelled"]
    """``cancelled`` since 0.9, ``failed`` before."""
    priority: float
    """Its number in the queue."""
    create_time: NotRequired[int]
    """In milliseconds since 1970."""
    execution_start_time: NotRequired[int]
    execution_end_time: NotRequired[int]
    execution_error: NotRequired[ExecutionErrorData]
    outputs_count: int
    previewable_outputs_count: NotRequired[int]
    """Newer than 0.27."""
    preview_output: NotRequired[JobPreview]
    workflow_id: NotRequired[str]
    """The id in ``extra_pnginfo.workflow``."""
    outputs: NotRequired[dict[str, dict[str, Any]]]
    """As in the history, but paths of three-dimensional models are files."""
    execution_status: NotRequired[HistoryStatus | None]
    workflow: NotRequired[JobWorkflow]


class JobsPage(TypedDict):
    """Which part of the list a reply holds."""

    offset: int
    limit: int | None
    total: int
    has_more: bool


class JobsReply(TypedDict):
    """The reply to GET /api/jobs."""

    jobs: list[JobEntry]
    pagination: JobsPage


class CancelReply(TypedDict):
    """The reply to POST /api/jobs/{id}/cancel (0.26 and newer)."""

    cancelled: bool
    """False if the job was over already, or unknown."""
