"""A signal ends a command at once, also where the event loop waits for nothing else."""

import signal
import subprocess
import sys

IDLE = """
import asyncio, signal, threading
from ateneo.cli import runtime

async def idle():
    other = threading.Thread(target=threading.Event().wait, daemon=True)
    other.start()
    threading.Timer(0.1, signal.pthread_kill, (other.ident, signal.SIGTERM)).start()
    await asyncio.Event().wait()

runtime.prepare()
runtime.run_or_exit(idle())
"""


def test_a_signal_that_another_thread_gets() -> None:
    """The kernel chooses the thread; that of the loop sleeps in a system call."""
    assert subprocess.run([sys.executable, "-c", IDLE], timeout=60, check=False).returncode == -signal.SIGTERM
