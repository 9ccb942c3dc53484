"""DATABASE_URL as people have it: read as meant, or refused with a remedy; never with a part of the password."""

import re
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.db.address import Address, parse
from ateneo.errors import SettingsError

PLAIN = Address(hosts=("h",), ports=(5433,), user="u", password="p", database="d")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:p@h:5433/d",
        "postgres://u:p@h:5433/d",
        "POSTGRESQL://u:p@h:5433/d",
        "postgresql+asyncpg://u:p@h:5433/d",
        "postgres+psycopg://u:p@h:5433/d",
        "postgresql+psycopg2://u:p@h:5433/d",
        "jdbc:postgresql://h:5433/d?user=u&password=p",
        "  'postgresql://u:p@h:5433/d'\n",
        "postgresql:///d?host=h&port=5433&user=u&password=p",
        "host=h port=5433 dbname=d user=u password=p",
        "host = 'h' port='5433'\n dbname=d user=u password='p'",
        "postgresql://u:p@h:5433/d?schema=public&connection_limit=5&pool_timeout=3",
        "postgresql://u:p@h:5433/d?keepalives=1&client_encoding=utf8&gssencmode=disable",
        "postgresql://u:p@h:5433/d?channel_binding=prefer",
        "postgresql://u:p@h:5433/d?connect_timeout=0&sslmode=",
    ],
)
def test_all_of_these_say_the_same(text: str) -> None:
    assert parse(text) == PLAIN


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "sslmode=require&channel_binding=require",
            {"driver": {"sslmode": "require"}, "unheeded": ("channel_binding",)},
        ),
        ("ssl=true", {"driver": {"sslmode": "require"}}),
        ("ssl=require", {"driver": {"sslmode": "require"}}),
        ("sslmode=no-verify", {"driver": {"sslmode": "require"}}),
        ("sslmode=require&sslaccept=strict", {"driver": {"sslmode": "verify-full"}}),
        ("connect_timeout=10", {"timeout_s": 10.0}),
        ("pgbouncer=true", {"pooled": True}),
        ("pgbouncer=false", {"pooled": False}),
        ("application_name=mi+app%20x", {"server_settings": {"application_name": "mi+app x"}}),
        ("options=-c%20geqo%3Doff", {"server_settings": {"options": "-c geqo=off"}}),
        ("statement_timeout=5000", {"server_settings": {"statement_timeout": "5000"}}),
        ("target_session_attrs=read-write", {"driver": {"target_session_attrs": "read-write"}}),
    ],
)
def test_parameters(query: str, expected: dict[str, Any]) -> None:
    found = parse(f"postgresql://u:p@h:5433/d?{query}")
    assert {name: getattr(found, name) for name in expected} == expected


def test_several_hosts_sockets_and_ipv6() -> None:
    found = parse("postgresql://u@a:1,b,[::1]:3/d").arguments()
    assert (found["host"], found["port"]) == (["a", "b", "::1"], [1, 5432, 3])
    assert parse("postgresql://%2Ftmp%2Fpg/d").hosts == ("/tmp/pg",)
    assert parse("postgresql:///d?host=/tmp/a%23b").hosts == ("/tmp/a#b",)
    assert parse("port=5433 dbname=d").arguments()["port"] == 5433
    assert "host" not in parse("postgresql:///d").arguments()
    assert parse("host=a,b port=7 dbname=d").arguments()["port"] == [7, 7]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://u:secreta@h/d", "postgresql://"),
        ("secreta", "postgresql://"),
        ("postgresql://u:secreta", "servidor:puerto/base"),
        ("postgresql://u:p@h:99999/d", "puerto"),
        ("postgresql://u:p@h:x/d", "servidor:puerto/base"),
        ("host=a port=1,2", "puertos"),
        ("postgresql://u:p@h/d?secreta", "nombre=valor"),
        ("postgresql://u:p@h/d?connect_timeout=secreta", "connect_timeout"),
        ("postgresql://u:p@h/d?pgbouncer=secreta", "pgbouncer"),
        ("postgresql://u:p@h/d?require_auth=scram-sha-256", "require_auth"),
        ("postgresql://u:p@h/d?gssencmode=require", "gssencmode"),
        ("postgresql://u:p@h/d?se%63reta!=1", "parámetro"),
        ("postgresql://h/d?user=a@secreta", "%40"),
        ("host=h password='secreta", "nombre=valor"),
        ("host=h secreta", "nombre=valor"),
    ],
)
def test_what_cannot_be_read_is_refused_without_being_shown(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(text)
    assert says in refused.value.message
    assert "secreta" not in str(refused.value)
    assert refused.value.__cause__ is None


@settings(max_examples=examples(400))
@given(st.text(min_size=1))
@example("pa[ss]")
@example("pa#ss")
@example("p@x/y?z=1&w#[:]%")
@example("a@h/d?sslmode=1")
@example("100%")
def test_a_raw_password_is_read_whole_or_refused(password: str) -> None:
    try:
        found = parse(f"postgresql://u:{password}@127.0.0.1:9/x")
    except SettingsError as error:
        assert re.search(r"[?&]\w+=[^&]*$", password), "only where it has two readings"
        assert len(password) < 8 or password not in str(error)
        return
    assert (found.user, found.hosts, found.ports, found.database) == ("u", ("127.0.0.1",), (9,), "x")
    assert (found.password or "") == unquote(password)
    assert len(password) < 8 or (password not in repr(found) and password not in found.where)


@settings(max_examples=examples(200))
@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_an_encoded_address_is_read_whatever_it_has(password: str, user: str, database: str) -> None:
    found = parse(f"postgresql://{quote(user, '')}:{quote(password, '')}@h:1/{quote(database, '')}?sslmode=disable")
    assert (found.user, found.password or "", found.database, found.hosts) == (user, password, database, ("h",))


@settings(max_examples=examples(200))
@given(st.text())
def test_a_quoted_password_of_libpq_is_read_whole(password: str) -> None:
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    found = parse(f"host=h password='{escaped}' dbname=d")
    assert (found.password or "", found.database) == (password, "d")


@settings(max_examples=examples(300))
@given(st.one_of(st.text(), st.text().map("postgresql://".__add__), st.text().map("host=".__add__)))
def test_anything_at_all_is_an_address_or_a_settings_error(text: str) -> None:
    try:
        found = parse(text)
    except SettingsError:
        return
    assert isinstance(found.arguments(), dict)
