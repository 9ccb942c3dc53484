"""What a reader process may see of the file system: folders to read, and nothing else; no address to connect to."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # of every architecture
_GIVE_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_RIGHTS_SINCE = ((1, 13), (2, 14), (3, 15), (5, 16))
"""How many rights to files each version of Landlock knows."""
_BIND_AND_CONNECT, _NETWORK_SINCE = 0b11, 4
_ABSTRACT_SOCKETS_AND_SIGNALS, _SCOPES_SINCE = 0b11, 6


def version() -> int:
    """The kernel's; 0 where it has none, or does not let it be used."""
    return max(0, _call(_CREATE_RULESET, None, 0, _GIVE_VERSION))


def restrict(readable: Iterable[Path]) -> bool:
    """Leaves this thread, and those that it starts, the right to read `readable` and below, and returns whether the
    kernel did. To be called after PR_SET_NO_NEW_PRIVS."""
    known = version()
    if not known:
        return False
    rights = (1 << max(count for since, count in _RIGHTS_SINCE if since <= known)) - 1
    network = _BIND_AND_CONNECT if known >= _NETWORK_SINCE else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if known >= _SCOPES_SINCE else 0
    size = 24 if known >= _SCOPES_SINCE else 16 if known >= _NETWORK_SINCE else 8
    ruleset = _call(_CREATE_RULESET, struct.pack("=QQQ", rights, network, scopes)[:size], size, 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(ruleset, path)
        return _call(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there: nothing to read
        return
    try:
        rights = _READ_FILE | _READ_DIR if path.is_dir() else _READ_FILE
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: int | bytes | None) -> int:
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
