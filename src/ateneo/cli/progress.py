"""How far a command is: on stderr, where that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from ateneo.cli.runtime import err

Tell: TypeAlias = Callable[[int, int], None]
"""Is told (done, of how many)."""


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Callable[[str], Tell]]:
    """Gives what opens a stage, a line of its own, by its name."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    shown = err.is_terminal and not quiet
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not shown) as bars:

        def stage(name: str) -> Tell:
            task = bars.add_task(name, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total or None)

        yield stage


@contextmanager
def step(name: str, *, quiet: bool = False) -> Iterator[Tell]:
    """One stage alone."""
    with stages(quiet=quiet) as stage:
        yield stage(name)
