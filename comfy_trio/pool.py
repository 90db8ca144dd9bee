"""What a pool and its jobs tell as it happens, and what the profiles of a pool come to."""

from ._pool_events import JobAdded as JobAdded
from ._pool_events import JobFailed as JobFailed
from ._pool_events import JobInterrupted as JobInterrupted
from ._pool_events import JobReturned as JobReturned
from ._pool_events import JobStarted as JobStarted
from ._pool_events import JobSucceeded as JobSucceeded
from ._pool_events import JobsWaiting as JobsWaiting
from ._pool_events import LocalServerCrashed as LocalServerCrashed
from ._pool_events import ModeChanged as ModeChanged
from ._pool_events import PoolEvent as PoolEvent
from ._pool_events import PoolIdle as PoolIdle
from ._pool_events import PoolJobEvent as PoolJobEvent
from ._pool_events import PoolOpened as PoolOpened
from ._pool_events import ServerAdded as ServerAdded
from ._pool_events import ServerConnected as ServerConnected
from ._pool_events import ServerCooling as ServerCooling
from ._pool_events import ServerDisconnected as ServerDisconnected
from ._pool_events import ServerLogged as ServerLogged
from ._pool_events import ServerReady as ServerReady
from ._pool_events import ServerReconnected as ServerReconnected
from ._pool_events import ServerRemoved as ServerRemoved
from ._pool_events import ServerUnreachable as ServerUnreachable
from ._pool_events import SystemMonitored as SystemMonitored
from ._profile import summarize as summarize
