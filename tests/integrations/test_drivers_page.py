"""The programs of docs/how-to/drivers.md as they stand there: in a FastAPI application, a Django project, scripts."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from tests.api.conftest import new_key
from tests.api.server import serving

from ateneo import Ateneo

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "drivers.md").read_text(encoding="utf-8")
FASTAPI, ASYNC_PSYCOPG, PSYCOPG, DJANGO, MOUNTED = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
NOTE = "El depósito cierra a las seis de la tarde."
QUESTION = "¿a qué hora cierra el depósito?"
PROJECT = """
import json, os
import django
from django.conf import settings
from django.core.management import call_command
from django.test import Client

os.environ["DJANGO_SETTINGS_MODULE"] = "product.settings"
django.setup()
answer = Client(SERVER_NAME="localhost").get("/find", {"company": "7", "q": os.environ["QUESTION"]})
assert answer.status_code == 200, answer.content
print(json.loads(answer.content)["passages"])
"""


@pytest.fixture(autouse=True)
def _environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ATENEO_THREADS", "1")
    monkeypatch.setenv("QUESTION", QUESTION)


def _application(program: str, tmp_path: Path) -> FastAPI:
    """Run as a module, since FastAPI looks its annotations up."""
    space: dict[str, Any] = {"__name__": "product"}
    exec(compile(program, str(tmp_path / "product.py"), "exec"), space)
    app: FastAPI = space["app"]
    return app


def _printed(folder: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(ROOT / "src"), str(folder)])
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


async def test_fastapi(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = sa.make_url(database_url).set(drivername="postgresql+asyncpg")
    monkeypatch.setenv("APP_DATABASE_URL", address.render_as_string(hide_password=False))
    ours, others = str(uuid4()), str(uuid4())
    with serving(_application(FASTAPI, tmp_path)) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.post("/notes", params={"company": ours, "text": NOTE}).status_code == 200
        assert client.get("/notes", params={"company": ours, "q": QUESTION}).json() == [NOTE]
        assert client.get("/notes", params={"company": others, "q": QUESTION}).json() == []


async def test_scripts(tmp_path: Path) -> None:
    for program in (PSYCOPG, ASYNC_PSYCOPG):  # the first stores what both find
        assert _printed(tmp_path, "-c", program).strip() == str([NOTE])


async def test_django(database_url: str, tmp_path: Path) -> None:
    async with Ateneo.open() as ateneo:
        await ateneo.ingest(7, NOTE.encode(), name="note.md")
    assert django.VERSION >= (5, 2)
    _printed(tmp_path, "-m", "django", "startproject", "product", ".")
    at = sa.make_url(database_url)
    entry: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "NAME": at.database, "USER": at.username}
    entry |= {"HOST": at.query.get("host", at.host), "PASSWORD": at.password or "", "PORT": at.port or ""}
    package = tmp_path / "product"
    with (package / "settings.py").open("a") as settings:
        settings.write(f"\nDATABASES = {{'default': {entry!r}}}\nALLOWED_HOSTS = ['localhost']\n")
    (package / "views.py").write_text(DJANGO)
    (package / "urls.py").write_text(
        "from django.urls import path\nfrom product import views\nurlpatterns = [path('find', views.find)]\n"
    )
    assert _printed(tmp_path, "-c", PROJECT).strip() == str([NOTE])


async def test_mounted(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATENEO_CORS_ORIGINS", "https://app.example, https://other.example")
    headers = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    note = {"file": ("note.md", NOTE.encode())}
    with serving(_application(MOUNTED, tmp_path)) as url, httpx.Client(base_url=f"{url}/ateneo", timeout=60) as client:
        assert client.post("/documents", files=note, headers=headers).status_code == 201
        page = {"Origin": "https://app.example"}
        found = client.get("/search/semantic", params={"q": QUESTION}, headers=headers | page)
        assert [hit["contenido"] for hit in found.json()["hits"]] == [NOTE]
        assert found.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" in client.get("/search/semantic", headers=page).headers  # on errors, too
        strange = client.get(
            "/search/semantic", params={"q": QUESTION}, headers=headers | {"Origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in strange.headers
        wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        asked = client.options("/documents", headers=page | wanted)
        assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (200, "authorization")
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/ateneo"}]
        assert "/search/semantic" in client.get("/docs").text


async def test_mounted_without_its_lifespan(database_url: str, tmp_path: Path) -> None:
    program = MOUNTED.replace("FastAPI(lifespan=lifespan)", "FastAPI()")
    assert program != MOUNTED
    with serving(_application(program, tmp_path)) as url:
        answer = httpx.get(f"{url}/ateneo/search/semantic", params={"q": "x"}, headers={"X-API-Key": "ate_x"})
    assert answer.status_code == 503
    assert "lifespan" in answer.text
