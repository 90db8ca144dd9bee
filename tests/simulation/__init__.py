"""The client in a hard world, in virtual time, driven by one seed.

In a `_world`, a `_program` or two run jobs at a server; the `_network` breaks what is on its way,
and the `_weather` has the server restart and people meddle. `_invariants` says what must hold
whatever happens, and `_planted` holds faults that must be found. A seed leads to the same history
each time, to the letter:

    python -m simulation --seeds 1000
"""

from ._planted import PLANTED as PLANTED
from ._run import Failure as Failure
from ._run import simulate as simulate
from ._step import CancelAtStep as CancelAtStep
