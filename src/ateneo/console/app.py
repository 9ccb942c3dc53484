"""Puts the console's pages into the application that has the API."""

from http import HTTPStatus

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse

from ateneo.console import ask, documents, search, sign_in
from ateneo.console.pages import ASSETS, FOLDER
from ateneo.console.session import Sessions
from ateneo.settings import Settings

UPLOADS = (documents.PATH,)
_TYPES = {"console.css": "text/css", "console.js": "text/javascript", "htmx.min.js": "text/javascript"}
_YEAR_S = 365 * 24 * 3600


def install(app: FastAPI, settings: Settings) -> None:
    secret = settings.console_secret
    app.state.sessions = Sessions(secret.get_secret_value() if secret else None)
    app.add_api_route(f"{ASSETS}/{{name}}", _asset, include_in_schema=False)
    for router in (sign_in.router, sign_in.way_out, ask.router, search.router, documents.router):
        app.include_router(router)


async def _asset(name: str) -> Response:
    if name not in _TYPES:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    # its address changes with its content
    headers = {"Cache-Control": f"public, max-age={_YEAR_S}, immutable"}
    return FileResponse(FOLDER / "assets" / name, media_type=_TYPES[name], headers=headers)
