"""What is told while a bar lives stands above it, whole; and the bar stays one."""

import os
import pty
import re
import struct
import subprocess
from fcntl import ioctl
from termios import TIOCSWINSZ

import pytest
from tests.cli.run import ATENEO, ateneo
from tests.cli.test_backfill_command import environment, fill
from tests.providers.server import Fault, ProviderServer

from ateneo.db.pool import Database

WIDTH = 80
_PIECE = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def shown(output: str) -> list[str]:
    """The lines that a terminal is left with: what rich uses of its language (lines up, erase, columns)."""
    lines, row, column = [""], 0, 0
    for number, code, control, text in _PIECE.findall(output):
        if control == "\r":
            column = 0
        elif control == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif code == "A":
            row = max(0, row - int(number or 1))
        elif code == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
        elif text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        else:
            assert code in "mhl", code
    return [line.rstrip() for line in lines]


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal that is its stdout and its stderr."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 40, WIDTH, 0, 0))
    with subprocess.Popen([ATENEO, *arguments], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                          env=environment) as process:  # fmt: skip
        os.close(theirs)
        output = b""
        try:
            while piece := os.read(ours, 65536):
                output += piece
        except OSError:  # Linux: the last process that had the other end is gone
            pass
        os.close(ours)
        assert process.wait(60) == 0, output
    return output.decode()


@pytest.mark.parametrize("format", [[], ["--json"]], ids=["screen", "json"])
async def test_a_retry_is_told_above_the_bar(database: Database, database_url: str, format: list[str]) -> None:
    await fill(database, 30)
    with ProviderServer() as server:
        server.script(Fault.BUSY, Fault.SERVER_ERROR)
        told = environment(database_url, server, "es") | {"ATENEO_EMBEDDING_RETRIES": "3", "TERM": "xterm-256color"}
        output = on_a_terminal("backfill", "--yes", *format, **told)
    lines = shown(output)
    logged = [line for line in lines if "embedding.retry" in line]
    assert [line.split()[2] for line in logged] == ["[warning", "[warning"], lines
    whole = " ".join(" ".join(lines).split())
    for number, reason in enumerate(("provider-busy", "provider-unavailable"), 1):
        assert re.search(rf"embedding\.retry +attempt={number} reason={reason} wait_s=[\d.]+", whole), lines
    if not format:
        assert [line for line in lines if "⏳" in line and "30/30 100" in line]
        assert len([line for line in lines if "⏳" in line]) == 1, lines


async def test_elsewhere_a_retry_is_a_plain_line(database: Database, database_url: str) -> None:
    await fill(database, 3)
    with ProviderServer() as server:
        server.script(Fault.BUSY)
        told = environment(database_url, server, "es") | {"ATENEO_EMBEDDING_RETRIES": "3"}
        run = ateneo("backfill", "--yes", url=database_url, **told)
    assert run.returncode == 0
    [line] = run.stderr.splitlines()
    assert "embedding.retry" in line and "reason=provider-busy" in line and "\x1b" not in line
