"""No piece of a password is in any error about an address, or in its traceback, however the address is misspelled."""

import asyncio
import traceback
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.db.pool import Database
from ateneo.errors import AteneoError

MARKS = "@/?#%:&=+;,' []\\\"\x00\n\t%%"
LETTERS = "QXZJKWVqxzjkwv58"
"""Of no word that an error has."""
PASSWORD = st.text(alphabet=LETTERS + MARKS, min_size=4, max_size=14)
SPELLINGS = [
    "postgresql://u:{p}@127.0.0.1:1/d",
    "postgresql://u:{p}@127.0.0.1:1/",
    "postgres:/u:{p}@127.0.0.1:1/d",
    "postgresql//u:{p}@127.0.0.1:1/d",
    "postgresql:u:{p}@127.0.0.1:1/d",
    "u:{p}@127.0.0.1:1/d",
    "mysql://u:{p}@127.0.0.1:1/d",
    "postgresql://u:{p}@",
    "postgresql://u:{p}",
    "postgresql://u:{p}/d",
    "postgresql://:{p}@127.0.0.1:1/d",
    "postgresql://{p}@127.0.0.1:1/d",
    "postgresql://u@{p}@127.0.0.1:1/d",
    "postgresql://u;{p}@127.0.0.1:1/d",
    "postgresql://u:{p}@@127.0.0.1:1/d",
    "postgresql://u:{p}@127.0.0.1:1@/d",
    "postgresql://u:{p}@127.0.0.1:1x/d",
    "postgresql://u:{p}@127.0.0.1:99999/d",
    "postgresql://u:{p}@127.0.0.1:1,::1/d",
    "postgresql://u:{p}@127.0.0.1:1/d?sslmode={p}",
    "postgresql://u:{p}@127.0.0.1:1/d?connect_timeout={p}",
    "postgresql://u:{p}@127.0.0.1:1/d?pgbouncer={p}",
    "postgresql://u:{p}@127.0.0.1:1/d?target_session_attrs={p}",
    "postgresql://127.0.0.1:1/d?user=u&password={p}",
    "jdbc:postgresql://127.0.0.1:1/d?user=u&password={p}",
    "host=127.0.0.1 port=1 user=u password={p} dbname=d",
    "host=127.0.0.1 port=1 user=u password='{p}' dbname=d",
    "host=127.0.0.1 port=1 user=u password='{p} dbname=d",
    "host=127.0.0.1;port=1;user=u;password={p}",
    "Server=127.0.0.1;User Id=u;Password={p}",
    "embedded:postgresql://u:{p}@127.0.0.1:1/d",
]


def pieces(password: str) -> set[str]:
    """What it would be known by: four characters that are not all marks, as they are and as an address has them."""
    found = {password[at : at + 4] for at in range(len(password) - 3)}
    told = {one for one in found if sum(letter in LETTERS for letter in one) >= 2}
    return told | {quote(one, safe="") for one in told} | {ascii(one)[1:-1] for one in told}


async def said(url: str) -> str:
    """All that is said of an address that leads nowhere."""
    try:
        async with await Database.open(url, size=1):
            return ""
    except AteneoError as error:
        lines = traceback.format_exception(error)
        return f"{error!r} {error} {error.loggable} {''.join(lines)}"


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example("QX58@ZJ/kwv")
@example("58/QXZJ@kwv")
@example("5858/QXZJkwv")
@example("QX%ZJ%00KW%zz")
@example("QXZJ?KWVX=58&qxzj")
@example("QX ZJKW='58")
@given(PASSWORD)
def test_an_address_that_is_wrong(spelling: str, password: str) -> None:
    told = asyncio.run(said(spelling.format(p=password)))
    assert not [one for one in pieces(password) if one in told], told
    told = asyncio.run(said(spelling.format(p=quote(password, safe=""))))
    assert not [one for one in pieces(password) if one in told], told


@pytest.mark.parametrize("place", ["user", "password", "application_name", "name"])
async def test_a_server_that_answers(bare_url: str, place: str) -> None:
    """Where the address is read otherwise than it was meant, the server quotes what it got."""
    secret = "QXZJ58kwv"
    url = bare_url.replace("postgres:@", f"{secret}:@") if place == "user" else f"{bare_url}&{place}={secret}"
    told = await said(f"{bare_url}&{secret}=1" if place == "name" else url)
    assert not [one for one in pieces(secret) if one in told], told
    assert bool(told) == (place in ("user", "name"))
