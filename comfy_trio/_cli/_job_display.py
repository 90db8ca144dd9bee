"""Show jobs while they run: bars for a person's terminal, plain lines for a pipe or a log."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, final

import attrs
from rich import progress as bars
from rich.table import Column

from .. import Failed, Finished, NodeStarted, Pending, Preview, Progress, ProgressPercent, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.console import RenderableType

    from .. import JobEvent
    from ._screen import Screen
    from ._terminal_pictures import Draw

SHORTEST_BAR, LONGEST_BAR = 10, 40
SHARE_PER_LINE = 0.25
"""How much of a node's own progress is worth another line, where there is no bar."""


@attrs.define
class JobView:
    """What a job's events add up to, for who watches it."""

    doing: str = ""
    """The running node's title, or what else the job is at."""
    step: str = ""
    """How far the running node is, like ``5/20``; empty if it does not tell."""
    share: float = 0.0
    """The same from 0 to 1."""
    percent: int = 0
    """How much of the whole job is done."""
    previews: int = 0
    """How many previews were received."""

    def feed(self, event: JobEvent) -> None:
        """Take one event in."""
        match event:
            case Pending():
                self._start("Wait in the queue")
            case Started():
                self._start("Start")
            case NodeStarted():
                self._start(event.title or f"Node {event.node_id}")
            case Progress() if event.max > 1:
                self.step = f"{event.value:g}/{event.max:g}"
                self.share = event.value / event.max
            case ProgressPercent():
                self.percent = event.percent
            case Preview():
                self.previews += 1
            case Finished():
                self._start("Done")
                self.percent = 100
            case _:
                pass

    def _start(self, doing: str) -> None:
        self.doing = doing
        self.step = ""
        self.share = 0.0

    def __str__(self) -> str:
        return f"{self.doing} {self.step}".rstrip()

    def previews_seen(self) -> str:
        """Return the count of previews in words; empty as long as there is none."""
        match self.previews:
            case 0:
                return ""
            case 1:
                return "1 preview"
            case count:
                return f"{count} previews"


class JobDisplay(Protocol):
    """Something that shows a job."""

    def feed(self, event: JobEvent) -> None:
        """Show one event."""

    def close(self) -> None:
        """Make room for others: of many jobs, those that are over are in the way."""


@contextmanager
def open_job_display(screen: Screen) -> Generator[JobDisplay]:
    """Open the display that suits the screen, for one job."""
    with open_job_displays(screen) as display_of:
        yield display_of("")


@contextmanager
def open_job_displays(
    screen: Screen, draw: Draw | None = None
) -> Generator[Callable[[str], JobDisplay]]:
    """Open displays for several jobs: in the block is what gives each one, by its name.

    Args:
        screen: Where.
        draw: How to draw the latest preview below the bars; None not to.
    """
    if not screen.out.is_interactive:
        yield lambda name: _Lines(screen, name)
        return
    with _Board(*_columns(screen.out.width), console=screen.out) as board:
        yield lambda name: _Bar(board, board.add_task(name, total=100, previews=""), name, draw)


@final
class _Board(bars.Progress):
    """Bars, and below them a picture, if there is one."""

    picture: RenderableType | None = None

    def get_renderables(self) -> Generator[RenderableType]:
        yield from super().get_renderables()
        if self.picture is not None:
            yield self.picture


def _columns(width: int) -> list[bars.ProgressColumn]:
    """Lay out the bar's line; where there is little room, the bar goes rather than the words."""
    title, previews, others = 24, 12, 16
    # A Ctrl-C appears on the screen as ^C, which must not break the line: rich would miscount.
    room = width - title - previews - others - len("^C")
    narrow = room < SHORTEST_BAR
    if narrow:
        title += min(room + others - len("100 %  "), 0)
    columns: list[bars.ProgressColumn] = [
        # Titles may hold anything, brackets too.
        bars.TextColumn("{task.description}", markup=False, table_column=_fixed(max(title, 8))),
        bars.BarColumn(bar_width=min(room, LONGEST_BAR)),
        bars.TextColumn("{task.percentage:>3.0f} %"),
        bars.TextColumn("{task.fields[previews]}", table_column=_fixed(previews)),
        bars.TimeElapsedColumn(),
    ]
    return [columns[0], *columns[2:4]] if narrow else columns


def _fixed(width: int) -> Column:
    """A column that stays where it is, whatever is in it."""
    return Column(width=width, no_wrap=True, overflow="ellipsis")


@final
@attrs.define
class _Bar:
    _board: _Board
    _task: bars.TaskID
    _name: str
    _draw: Draw | None
    _view: JobView = attrs.field(factory=JobView, init=False)

    def feed(self, event: JobEvent) -> None:
        view = self._view
        view.feed(event)
        if self._draw is not None:
            match event:
                case Preview(data=data):
                    self._board.picture = self._draw(data) or self._board.picture
                case Finished() | Failed():  # what it gives is better looked at in full
                    self._board.picture = None
                case _:
                    pass
        self._board.update(
            self._task,
            description=" ".join(filter(None, (self._name, str(view)))),
            completed=view.percent,
            previews=view.previews_seen(),
        )

    def close(self) -> None:
        self._board.remove_task(self._task)


@final
@attrs.define
class _Lines:
    _screen: Screen
    _name: str
    _view: JobView = attrs.field(factory=JobView, init=False)
    _told: JobView = attrs.field(factory=JobView, init=False)

    def feed(self, event: JobEvent) -> None:
        view = self._view
        view.feed(event)
        if view.doing != self._told.doing or view.share - self._told.share >= SHARE_PER_LINE:
            parts = filter(None, (str(view), view.previews_seen()))
            name = f"{self._name}  " if self._name else ""
            self._screen.line(f"{name}{view.percent:3} %  {', '.join(parts)}")
            self._told = attrs.evolve(view)

    def close(self) -> None:
        pass
