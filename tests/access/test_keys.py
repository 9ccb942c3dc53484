"""API keys: made once, found by prefix, compared whole, revoked at once."""

import hashlib
from datetime import timedelta

import pytest
from tests.text.test_names import NO_NAMES

from ateneo.db import keys
from ateneo.db.pool import Database
from ateneo.errors import AccessDenied, BadArgument, NotUpgraded, UnknownApiKey
from ateneo.tenant_id import tenant_id


async def test_a_key_is_of_its_company_and_not_stored(database: Database) -> None:
    new = await keys.create(database, "acme", "backend")
    assert (await keys.authenticate(database, new.secret)).empresa_id == "acme"
    assert new.secret not in repr(new)
    async with database.acquire() as connection:
        row = await connection.fetchrow("SELECT k::text AS whole, key_hash FROM ateneo.api_key k")
    assert row is not None
    assert row["key_hash"] == hashlib.sha256(new.secret.encode()).digest()
    assert new.secret.rsplit("_", 1)[1] not in row["whole"]


async def test_keys_differ(database: Database) -> None:
    made = [await keys.create(database, "acme") for _ in range(20)]
    assert len({new.secret for new in made}) == len({new.stored.prefix for new in made}) == 20
    assert all(len(new.secret.rsplit("_", 1)[1]) == 72 for new in made)


async def test_another_secret_under_the_same_prefix_is_refused(database: Database) -> None:
    new = await keys.create(database, "acme")
    with pytest.raises(AccessDenied):
        await keys.authenticate(database, keys.with_checksum(new.secret[:24] + "0" * 64))


@pytest.mark.parametrize("place", range(len("ateneo_") + 16 + 1 + 72))
async def test_one_wrong_character_is_told_without_the_database(place: int) -> None:
    """Any single error of at most 32 bits is found by a CRC-32."""
    secret = keys.with_checksum(f"ateneo_{'5' * 16}_{'a' * 64}")
    assert keys.prefix_of(secret) == "5" * 16
    for other in "0f_Z":
        wrong = secret[:place] + other + secret[place + 1 :]
        assert wrong == secret or keys.prefix_of(wrong) == ""
    for swapped in (secret[:place] + secret[place + 1 :], secret[:place] + "0" + secret[place:]):
        assert keys.prefix_of(swapped) == ""


async def test_a_key_of_the_old_form_goes_on_holding(database: Database) -> None:
    secret = f"ate_{'1' * 12}_{'2' * 64}"
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO ateneo.api_key (empresa_id, prefix, key_hash) VALUES ('acme', $1, sha256($2))",
            "1" * 12,
            secret.encode(),
        )
    held = await keys.authenticate(database, secret)
    assert (held.empresa_id, keys.beginning(held.prefix)) == ("acme", "ate_111111111111_…")
    new = await keys.rotate(database, held.key_id, timedelta(hours=1))
    assert new.secret.startswith(keys.beginning(new.stored.prefix)[:-1]) and new.secret.startswith("ateneo_")


async def test_the_last_use_has_its_address(database: Database) -> None:
    new = await keys.create(database, "acme")
    assert new.stored.last_used_from is None
    await keys.authenticate(database, new.secret, "203.0.113.7")
    await keys.authenticate(database, new.secret, "203.0.113.8")  # within the minute
    assert [one.last_used_from for one in await keys.list_keys(database)] == ["203.0.113.7"]


@pytest.mark.parametrize(
    "secret", ["", "ate_", "ate_x_y", "sk-123", "ate_" + "0" * 12 + "_" + "0" * 64, "\x00", "\ud800"]
)
async def test_what_is_no_key_is_refused(database: Database, secret: str) -> None:
    with pytest.raises(AccessDenied):
        await keys.authenticate(database, secret)


async def test_a_revoked_key_is_refused_at_once_and_stays_listed(database: Database) -> None:
    kept, gone = await keys.create(database, "acme"), await keys.create(database, "acme")
    await keys.create(database, "otra")
    await keys.authenticate(database, gone.secret)
    assert (await keys.revoke(database, gone.stored.key_id)).revoked
    assert (await keys.revoke(database, gone.stored.key_id)).revoked
    with pytest.raises(AccessDenied):
        await keys.authenticate(database, gone.secret)
    assert (await keys.authenticate(database, kept.secret)).key_id == kept.stored.key_id
    assert [key.revoked for key in await keys.list_keys(database, "acme")] == [False, True]
    assert len(await keys.list_keys(database)) == 3


@pytest.mark.parametrize("key_id", ["nope", "\x00", "\ud800"])
async def test_revoking_an_unknown_key(database: Database, key_id: str) -> None:
    with pytest.raises(UnknownApiKey):
        await keys.revoke(database, key_id)


async def test_use_is_noted_at_most_once_a_minute(database: Database) -> None:
    new = await keys.create(database, "acme")
    noted = []
    for age in (None, "59 seconds", "61 seconds"):
        async with database.acquire() as connection:
            await connection.execute("UPDATE ateneo.api_key SET last_used_at = now() - $1::text::interval", age)
            before = await connection.fetchval("SELECT last_used_at FROM ateneo.api_key")
            await keys.authenticate(database, new.secret)
            noted.append(await connection.fetchval("SELECT last_used_at FROM ateneo.api_key") != before)
    assert noted == [True, False, True]
    assert (await keys.list_keys(database))[0].last_used_at


@pytest.mark.parametrize("empresa_id", NO_NAMES)
async def test_an_empresa_id_that_cannot_be_one(database: Database, empresa_id: str) -> None:
    with pytest.raises(BadArgument):
        await keys.create(database, empresa_id)
    with pytest.raises(BadArgument):
        tenant_id(empresa_id)


async def test_a_database_without_the_tables(bare_url: str) -> None:
    async with await Database.open(bare_url, size=1) as db:
        with pytest.raises(NotUpgraded):
            await keys.create(db, "acme")


async def test_a_key_ends_when_it_was_to_end(database: Database) -> None:
    new = await keys.create(database, "acme", lifetime=timedelta(hours=1))
    assert (await keys.authenticate(database, new.secret)).expires_at
    async with database.acquire() as connection:
        await connection.execute("UPDATE ateneo.api_key SET expires_at = now() - interval '1 second'")
    with pytest.raises(AccessDenied):
        await keys.authenticate(database, new.secret)
    with pytest.raises(UnknownApiKey):
        await keys.rotate(database, new.stored.key_id, timedelta(hours=1))


async def test_scopes_are_kept_and_checked(database: Database) -> None:
    new = await keys.create(database, "acme", scopes=["read", "read", "admin"])
    assert (await keys.authenticate(database, new.secret)).scopes == ("read", "admin")
    assert (await keys.create(database, "acme")).stored.scopes == ("read", "write", "agents")
    for scopes in (["root"], []):
        with pytest.raises(BadArgument):
            await keys.create(database, "acme", scopes=scopes)
    with pytest.raises(BadArgument):
        await keys.create(database, "acme", lifetime=timedelta(0))


async def test_a_rotated_key_has_a_successor_and_an_end(database: Database) -> None:
    old = await keys.create(database, "acme", "backend", scopes=["read"], lifetime=timedelta(days=30))
    new = await keys.rotate(database, old.stored.key_id, timedelta(hours=1))
    assert (new.stored.empresa_id, new.stored.name, new.stored.scopes) == ("acme", "backend", ("read",))
    assert new.stored.expires_at == old.stored.expires_at
    assert (await keys.authenticate(database, old.secret)).expires_at != old.stored.expires_at
    await keys.authenticate(database, new.secret)
    last = await keys.rotate(database, new.stored.key_id, timedelta(0))
    with pytest.raises(AccessDenied):
        await keys.authenticate(database, new.secret)
    await keys.authenticate(database, last.secret)
    for key_id in ("nope", "\x00"):
        with pytest.raises(UnknownApiKey):
            await keys.rotate(database, key_id, timedelta(0))


async def test_a_wrong_key_is_not_told_from_a_right_one_by_the_database(database: Database) -> None:
    """One function answers for all of them, with a row or without: prefix and hash are asked in one statement."""
    new = await keys.create(database, "acme")
    async with database.acquire() as connection:
        wrong = await connection.fetch(
            "SELECT * FROM ateneo.authenticate($1, $2)", new.stored.prefix, hashlib.sha256(b"x").digest()
        )
        missing = await connection.fetch("SELECT * FROM ateneo.authenticate($1, $2)", "0" * 12, b"x")
    assert wrong == missing == []
