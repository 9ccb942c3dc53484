"""How far a command is: on stderr, where that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ateneo.cli.runtime import err

Tell: TypeAlias = Callable[[int, int], None]
"""Is told (done, of how many)."""


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Callable[[str], Tell]]:
    """Gives what opens a stage, a line of its own, by its name."""
    with _bars(MofNCompleteColumn(), quiet=quiet) as bars:

        def stage(name: str) -> Tell:
            task = bars.add_task(name, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total or None)

        yield stage


@contextmanager
def step(name: str, *, quiet: bool = False) -> Iterator[Tell]:
    """One stage alone."""
    with stages(quiet=quiet) as stage:
        yield stage(name)


@contextmanager
def bytes_bar(name: str) -> Iterator[Tell]:
    """One stage that is counted in bytes."""
    with _bars(DownloadColumn(binary_units=True), TransferSpeedColumn()) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def _bars(*figures: ProgressColumn, quiet: bool = False) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), *figures)
    shown = err.is_terminal and not quiet
    return Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not shown)
