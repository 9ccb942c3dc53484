"""What `ateneo serve` serves: the API, and the console at `/`."""

from fastapi import FastAPI

from ateneo.api.app import create_app as create_api
from ateneo.console import app as console
from ateneo.settings import Settings, load


def create_app(settings: Settings | None = None) -> FastAPI:
    """As `ateneo.api.app.create_app`, with the console. Raises SettingsError."""
    chosen = settings or load()
    if not chosen.console:
        return create_api(chosen)
    app = create_api(chosen, uploads=console.UPLOADS)
    console.install(app, chosen)
    return app
