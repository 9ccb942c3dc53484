"""What `ateneo models add OWNER/NAME` does before it adds a folder: shows a hub's model, and downloads it."""

import asyncio
import contextvars
import re
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ateneo.cli.output import facts
from ateneo.cli.progress import Tell, bytes_bar
from ateneo.cli.runtime import err
from ateneo.i18n import size, tr
from ateneo.providers.http_environment import check_environment
from ateneo.settings import Settings

if TYPE_CHECKING:
    from ateneo.providers.hub import HubFile, HubModel
    from ateneo.providers.model_folder import Origin

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A model's files in a folder of their own. `origin`: where they come from, with the revision."""

    folder: Path
    graph: str
    origin: "Origin"


def is_hub_name(text: str) -> bool:
    """OWNER/NAME, where no folder is called that."""
    return bool(_NAME.fullmatch(text)) and not Path(text).exists()


@asynccontextmanager
async def downloaded(
    settings: Settings, models_dir: Path, name: str, revision: str, graph: str | None
) -> AsyncIterator[Downloaded]:
    """Shows what the model is, its licence too, then downloads it; what is there stays for the next try where that is
    cut off, and goes once the model is added. Raises HubError, SettingsError."""
    from ateneo.providers.hub import Hub, fetched
    from ateneo.providers.model_folder import Origin

    check_environment()
    hub = Hub(settings.hf_endpoint, settings.hf_token.get_secret_value() if settings.hf_token else None)
    model = await _in_daemon(lambda: hub.look(name, revision))
    chosen = model.graph(graph)
    _show(model, chosen)
    folder = models_dir / ".hub" / f"{name.replace('/', '--')}--{model.revision[:12]}"
    with bytes_bar(name) as tell:
        total = [0]
        watching = asyncio.create_task(_watch(folder, total, tell))
        try:
            await _in_daemon(lambda: fetched(hub, model, chosen, folder, lambda size: total.__setitem__(0, size)))
        finally:
            watching.cancel()
    yield Downloaded(folder, chosen.path, Origin(name=f"{name}@{model.revision}", license=model.license))
    shutil.rmtree(folder, ignore_errors=True)


async def _watch(folder: Path, total: list[int], tell: Tell) -> None:
    """Tells how much of it is there: partial files too, whatever the hub's client calls them."""
    while True:
        tell(await asyncio.to_thread(_size, folder), total[0])
        await asyncio.sleep(_LOOK_S)


def _size(folder: Path) -> int:
    with suppress(FileNotFoundError):  # a partial file is renamed at its end
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return 0


async def _in_daemon(work: Callable[[], T]) -> T:
    """In a thread that Ctrl-C does not wait for."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    context = contextvars.copy_context()
    result: list[T] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            result.append(context.run(work))
        except Exception as error:  # noqa: BLE001 - the outermost edge of the thread: its caller raises it
            failure.append(error)
        with suppress(RuntimeError):  # after Ctrl-C the loop is closed
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="ateneo-download", daemon=True).start()
    await done.wait()
    if failure:
        raise failure[0]
    return result[0]


def _show(model: "HubModel", graph: "HubFile") -> None:
    others = [f"{one.path} ({size(one.size)})" for one in model.graphs if one != graph]
    rows = {
        tr("revisión", "revision"): model.revision,
        tr("licencia", "licence"): model.license or tr("no consta", "not stated"),
        tr("grafo", "graph"): f"{graph.path} ({size(graph.size)})",
        tr("otros", "others"): "\n".join(others),
    }
    err.print(model.name, style="bold")
    err.print(facts(rows))
