"""The command line: `ateneo COMMAND`.

Nothing heavy is imported before the first moment in which Ctrl-C may come: it ends the process with 130, quietly.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Runs a command; see `runtime.run_or_exit` for how it ends."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not in a script's background
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    from ateneo.cli import runtime
    from ateneo.ingestion.parsing.confinement import hide_memory

    hide_memory()
    runtime.prepare()
    from ateneo.cli import commands, usage  # after the language is known, since help is text too

    app = commands.build()
    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    usage.run(app)


def _leave(signum: int, frame: FrameType | None) -> None:
    """Nothing was begun yet. An exception here could be taken for a failed import, and be reported as one."""
    os._exit(INTERRUPTED)
