"""Each way of having no connection says what to do about that one."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ateneo.db.pool import Database
from ateneo.errors import DatabaseUnavailable


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def _said(url: str) -> DatabaseUnavailable:
    with pytest.raises(DatabaseUnavailable) as error:
        async with await Database.open(url):
            pass
    return error.value


async def test_each_cause_has_its_own_remedy(bare_url: str, silent_port: int) -> None:
    name = bare_url.split("/")[3].partition("?")[0]
    causes = {
        "Nadie atiende ahí": f"postgresql://u:clave@127.0.0.1:{_free_port()}/x",
        "ese nombre de servidor": "postgresql://u:clave@no-existe.invalid/x",
        "no contesta": f"postgresql://u:clave@127.0.0.1:{silent_port}/x?connect_timeout=1",
        "no tiene esa base": bare_url.replace(f"/{name}?", "/no_existe?"),
        "no admite a ese usuario": bare_url.replace("postgres:@", "nadie:@"),
    }
    said = {cause: (await _said(url)).remedy for cause, url in causes.items()}
    for cause, remedy in said.items():
        assert cause.lower() in remedy.lower(), (cause, remedy)
        assert "clave@" not in remedy
    assert len(set(said.values())) == len(said)


async def test_a_password(server_url: str, bare_url: str) -> None:
    """The test server trusts everybody but one."""
    admin = await asyncpg.connect(server_url)
    rules = Path(await admin.fetchval("SHOW hba_file"))
    before = rules.read_text()
    rules.write_text(f"local all con_clave scram-sha-256\n{before}")
    await admin.execute("CREATE ROLE con_clave LOGIN PASSWORD 'abre'; SELECT pg_reload_conf()")
    try:
        await _until_asked(bare_url.replace("postgres:@", "con_clave:otra@"))
        async with await Database.open(bare_url.replace("postgres:@", "con_clave:abre@")):
            pass
        wrong = await _said(bare_url.replace("postgres:@", "con_clave:otra@"))
        missing = await _said(bare_url.replace("postgres:@", "con_clave@"))
        closed = await _said(bare_url.replace("postgres:@", "con_clave:abre@") + f"&port={_free_port()}")
    finally:
        rules.write_text(before)
        await admin.execute("DROP ROLE con_clave; SELECT pg_reload_conf()")
        await admin.close()
    for refused in (wrong, missing):
        assert "usuario y la clave" in refused.remedy
    assert "host y puerto" in closed.remedy and "clave" not in closed.remedy
    assert not any("otra" in str(one) or "abre" in str(one) for one in (wrong, missing, closed))


async def _until_asked(url: str) -> None:
    """Until the server has read its rules anew: a signal tells it to."""
    for _ in range(100):
        try:
            await (await asyncpg.connect(url)).close()
        except asyncpg.InvalidPasswordError:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it still trusts everybody")


async def test_no_room(server_url: str, bare_url: str) -> None:
    name = bare_url.split("/")[3].partition("?")[0]
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"CREATE ROLE uno_solo LOGIN CONNECTION LIMIT 1; ALTER DATABASE {name} CONNECTION LIMIT 1")
    try:
        url = bare_url.replace("postgres:@", "uno_solo:@")
        first = await asyncpg.connect(url)
        assert "ATENEO_POOL_SIZE" in (await _said(url)).remedy
        await first.close()
    finally:
        await admin.execute("DROP ROLE uno_solo")
        await admin.close()
