"""Each way of having no connection says what to do about that one."""

import socket
from collections.abc import Iterator

import asyncpg
import pytest

from ateneo.errors import DatabaseUnavailable
from ateneo.store.pool import Database


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


async def test_a_wrong_password(bare_url: str) -> None:
    """The test server trusts everybody, so the driver's error is made by the server's own words."""
    from ateneo.store.connection_errors import unavailable

    refused = unavailable(asyncpg.InvalidPasswordError("password authentication failed"), "servidor/base", "x")
    assert "usuario y la clave" in refused.remedy


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
