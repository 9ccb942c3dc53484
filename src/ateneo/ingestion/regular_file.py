"""A regular file opened below a folder: no link leads out of it, and nothing that only looks like a file is read."""

import ctypes
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.validation_messages import unreadable

_OF_THE_KERNEL = {0x9FA0, 0x62656572, 0x64626720, 0x74726163, 0x27E0EB, 0x63677270, 0x73636673}
"""The kernel's own file systems, by statfs(2): proc, sysfs, debugfs, tracefs, cgroup, cgroup2, securityfs."""


def open_regular(path: Path, below: Path) -> BinaryIO:
    """Opens the file to be read. Raises BadArgument where it cannot be, is no regular file, or lies elsewhere.

    Links are resolved first and every part of what they resolve to is then opened without following any, so that what
    is put there in between is refused; what was opened is asked what it is, not its name.
    """
    try:
        folder, real = Path(os.path.realpath(below)), Path(os.path.realpath(path))
        if not real.is_relative_to(folder):
            raise _refused(path, tr("es un enlace que sale de su carpeta", "it is a link that leads out of its folder"))
        opened = _open_parts(folder, real.relative_to(folder).parts)
        if not _is_regular(opened):
            os.close(opened)
            raise _refused(path, tr("no es un archivo común", "it is no regular file"))
        return os.fdopen(opened, "rb")
    except (OSError, ValueError) as error:  # ValueError: NUL in its name
        raise _refused(path, unreadable(error)) from error


def _open_parts(folder: Path, parts: tuple[str, ...]) -> int:
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    for part in parts:
        try:  # O_NONBLOCK: nobody may write to a pipe
            within = os.open(part, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened)
        finally:
            os.close(opened)
        opened = within
    return opened


def _is_regular(opened: int) -> bool:
    return stat.S_ISREG(os.fstat(opened).st_mode) and _file_system(opened) not in _OF_THE_KERNEL


def _file_system(opened: int) -> int:
    """Its kind, the first word of what fstatfs tells; 0 where the system has no such kinds."""
    if sys.platform != "linux":
        return 0
    told = ctypes.create_string_buffer(256)
    return int.from_bytes(told.raw[:8], sys.byteorder) if not ctypes.CDLL(None).fstatfs(opened, told) else 0


def _refused(path: Path, rule: str) -> BadArgument:
    return BadArgument(name="file", value=str(path), rule=rule)
