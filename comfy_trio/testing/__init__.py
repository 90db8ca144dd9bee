"""An embedded ComfyUI server, for first runs and for the tests of your own programs."""

try:
    from ._crystools import Crystools as Crystools
    from ._extension import Extension as Extension
    from ._faults import Faults as Faults
    from ._manager import ComfyUIManager as ComfyUIManager
    from ._manager_state import KnownPack as KnownPack
    from ._memory import MemoryTransport as MemoryTransport
    from ._node_type import ExecutionBlocked as ExecutionBlocked
    from ._node_type import InputFiles as InputFiles
    from ._node_type import NodeResult as NodeResult
    from ._node_type import NodeRun as NodeRun
    from ._node_type import NodeType as NodeType
    from ._server import EmbeddedServer as EmbeddedServer
    from ._server import ServerStatistics as ServerStatistics
    from ._server import open_embedded_server as open_embedded_server
except ModuleNotFoundError as _error:
    _missing = (_error.name or "").partition(".")[0]
    if _missing in {"", "comfy_trio"}:
        raise
    raise ModuleNotFoundError(
        f"The embedded server needs {_missing}, which is not installed:"
        ' run  pip install "comfy-trio[server]"',
        name=_missing,
    ) from _error
