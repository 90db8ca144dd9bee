"""What the log tells of each job: its milestones, and its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, final

from ._events import Failed, Finished, NodeStarted, Pending, Started
from ._logging import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._events import JobEvent


@final
class JobLog:
    """Logs what a job tells: its end at level INFO, the way there at DEBUG.

    Args:
        began: When it was submitted.
        extra: Whom it concerns; see `ids`.
    """

    def __init__(self, began: float, extra: Mapping[str, object]) -> None:
        self._began = began
        self._extra = extra

    def note(self, event: JobEvent, now: float) -> None:
        """Log what the job told at that time."""
        seconds = now - self._began
        match event:
            case Pending():
                self._log(logging.DEBUG, "job %s: accepted", event.prompt_id)
            case Started():
                self._log(logging.DEBUG, "job %s: started after %.2f s", event.prompt_id, seconds)
            case NodeStarted():
                node = (event.node_id, event.class_type)
                self._log(logging.DEBUG, "job %s: node %s (%s)", event.prompt_id, *node)
            case Finished():
                self._log(logging.INFO, "job %s: done after %.2f s", event.prompt_id, seconds)
            case Failed():
                how = (event.prompt_id, seconds, event.error.code, event.error)
                self._log(logging.INFO, "job %s: failed after %.2f s (%s): %s", *how)
            case _:
                pass

    def _log(self, level: int, message: str, *values: object) -> None:
        logger.log(level, message, *values, extra=self._extra)
