"""Show a job while it runs: a bar for a person's terminal, plain lines for a pipe or a log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, final

import attrs
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from .. import Finished, NodeStarted, Pending, Preview, ProgressPercent, Started

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.progress import TaskID

    from .. import JobEvent
    from ._screen import Screen

PERCENT_PER_LINE = 10


@attrs.define
class JobView:
    """What a job's events add up to, for who watches it."""

    doing: str = ""
    """The running node's title, or what else the job is at."""
    percent: int = 0
    """How much of the whole job is done."""
    previews: int = 0
    """How many previews were received."""

    def feed(self, event: JobEvent) -> None:
        """Take one event in."""
        match event:
            case Pending():
                self.doing = "Wait in the queue"
            case Started():
                self.doing = "Start"
            case NodeStarted():
                self.doing = event.title or f"Node {event.node_id}"
            case ProgressPercent():
                self.percent = event.percent
            case Preview():
                self.previews += 1
            case Finished():
                self.doing = "Done"
                self.percent = 100
            case _:
                pass


class JobDisplay(Protocol):
    """Something that shows a job."""

    def feed(self, event: JobEvent) -> None:
        """Show one event."""


@contextmanager
def open_job_display(screen: Screen) -> Generator[JobDisplay]:
    """Open the display that suits the screen."""
    if not screen.out.is_interactive:
        yield _Lines(screen)
        return
    with Progress(
        SpinnerColumn(),
        # Titles may hold anything, brackets too. They give way first where there is little room.
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(ratio=3, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(bar_width=None, table_column=Column(ratio=4)),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[previews]}"),
        TimeElapsedColumn(),
        console=screen.out,
        expand=True,
    ) as progress:
        yield _Bar(progress, progress.add_task("", total=100, previews=_count(0)))


@final
@attrs.define
class _Bar:
    _progress: Progress
    _task: TaskID
    _view: JobView = attrs.field(factory=JobView, init=False)

    def feed(self, event: JobEvent) -> None:
        view = self._view
        view.feed(event)
        self._progress.update(
            self._task,
            description=view.doing,
            completed=view.percent,
            previews=_count(view.previews),
        )


@final
@attrs.define
class _Lines:
    _screen: Screen
    _view: JobView = attrs.field(factory=JobView, init=False)
    _told: JobView = attrs.field(factory=JobView, init=False)

    def feed(self, event: JobEvent) -> None:
        view = self._view
        view.feed(event)
        far = view.percent - self._told.percent >= PERCENT_PER_LINE
        if view.doing != self._told.doing or far:
            self._screen.line(f"{view.percent:3} %  {view.doing} ({_count(view.previews)})")
            self._told = attrs.evolve(view)


def _count(previews: int) -> str:
    return "1 preview" if previews == 1 else f"{previews} previews"
