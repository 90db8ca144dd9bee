"""The client in a hard world, in virtual time, driven by one seed.

`_network` delays and breaks what is on its way, `_weather` has the server restart and people
meddle, `_program` runs jobs as users do, and `_truth` sees from within the server what it really
did. `_invariants` says what must hold whatever happens, and why; `_planted` has faults that must be
found. A seed leads to the same history each time, to the letter:

    nox -s simulate -- --seeds 1000
"""

from ._planted import PLANTED as PLANTED
from ._run import Failure as Failure
from ._run import simulate as simulate
