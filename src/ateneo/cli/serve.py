"""`ateneo serve`: the HTTP API, once it is sure that it can serve."""

from typing import Annotated

import structlog
import typer

from ateneo.cli.logins import owner_warning
from ateneo.cli.runtime import err, run_or_exit, say_error
from ateneo.db.rights import has_the_owners_login
from ateneo.factories.chat_models import make_chat_model
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_embedding_service, make_models
from ateneo.i18n import tr
from ateneo.operations.readiness import check_ready
from ateneo.settings import load

_log = structlog.get_logger("ateneo.serve")
# A string, since interfaces do not know each other.
APP = "ateneo.web:create_app"
LONGEST_HEAD = 256 * 1024
"""Bytes of a request's line and headers: a question in the address is refused by its length, not by uvicorn."""


def serve(
    host: Annotated[
        str, typer.Option(help=tr("0.0.0.0 para toda la red.", "0.0.0.0 for all the network."))
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
) -> None:
    run_or_exit(_check())
    at = f"http://{host}:{port}"
    err.print(tr(f"Consola: {at}/ · Documentación de la API: {at}/docs", f"Console: {at}/ · API reference: {at}/docs"))
    import uvicorn

    # uvicorn's own access log would keep what people ask; the API logs each request without it.
    uvicorn.run(
        APP, factory=True, host=host, port=port, ws="none", access_log=False, h11_max_incomplete_event_size=LONGEST_HEAD
    )


async def _check() -> None:
    settings = load()
    async with make_embedding_service(settings) as embedding:
        make_chat_model(settings, embedding)
        async with await open_database(settings, guarded=True) as db:
            await check_ready(db, make_models(settings, embedding))
            if await has_the_owners_login(db):
                say_error(f"! {owner_warning()}", style="yellow")
                _log.warning("the owner's login serves companies", remedy="docs/how-to/tenants.md", role=db.role)
