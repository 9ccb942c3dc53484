"""Signed tenants: once a secret is stored, whoever can send SQL can still not say that they are another company."""

from collections.abc import AsyncIterator

import pytest
from tests.cli.run import ateneo
from tests.db.test_isolation_database import put

from ateneo.db import documents, tenant_secret, tenant_token
from ateneo.db import search as db_search
from ateneo.db.pool import Database
from ateneo.db.tenant_token import sign
from ateneo.errors import SettingsError

SECRET = "a" * 64


@pytest.fixture
async def signed(database: Database, database_url: str) -> AsyncIterator[Database]:
    await put(database, "acme", "a.md", "El telar se para los lunes.")
    await put(database, "otra", "b.md", "La fórmula del telar ajeno.")
    await tenant_secret.store_secret(database, SECRET)
    async with await Database.open(database_url, size=2, guarded=True, tenant_secret=SECRET) as db:
        yield db


async def believed(db: Database, token: str) -> str | None:
    try:
        async with db.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", token)
            said: str = await connection.fetchval("SELECT ateneo.tenant()")
            return said
    except SettingsError:
        return None


async def test_who_signs_is_believed(signed: Database) -> None:
    assert len(await documents.list_documents(signed, "acme")) == 1
    hits = (await db_search.search(signed, db_search.Query("acme", "telar"), schema="public")).hits
    assert [hit.contenido for hit in hits] == ["El telar se para los lunes."]
    await put(signed, "acme", "c.md", "El telar nuevo.")
    for company in ("acme", "o'hara", "a.b.c", "ñandú\nb"):
        assert await believed(signed, sign(company, SECRET)) == company


async def test_who_does_not_is_not(signed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    good = sign("acme", SECRET)
    forged = [
        "otra",
        good.replace("acme", "otra"),
        sign("otra", "b" * 64),
        "v1.99999999999." + good.split(".")[2] + ".acme",
        "v2" + good[2:],
        "v1...otra",
    ]
    assert [await believed(signed, token) for token in forged] == [None] * len(forged)
    monkeypatch.setattr(tenant_token, "LIFETIME_S", -1)
    assert await believed(signed, sign("acme", SECRET)) is None


async def test_a_server_without_the_secret_says_what_is_missing(signed: Database, database: Database) -> None:
    with pytest.raises(SettingsError, match="ATENEO_TENANT_SECRET"):
        await documents.list_documents(database, "acme")
    with pytest.raises(SettingsError, match="ATENEO_TENANT_SECRET"):
        await db_search.search(database, db_search.Query("acme", "telar"), schema="public")
    await tenant_secret.store_secret(database, None)
    assert len(await documents.list_documents(database, "acme")) == 1


def test_the_command_gives_the_setting(database_url: str) -> None:
    made = ateneo("db", "sign-tenants", url=database_url)
    name, _, secret = made.stdout.strip().partition("=")
    assert (name, len(secret)) == ("ATENEO_TENANT_SECRET", 64)
    assert ateneo("audit", "-e", "acme", url=database_url).returncode == 2
    assert ateneo("audit", "-e", "acme", url=database_url, ATENEO_TENANT_SECRET=secret).returncode == 0
    assert ateneo("db", "sign-tenants", "--off", url=database_url).returncode == 0
    assert ateneo("audit", "-e", "acme", url=database_url).returncode == 0
