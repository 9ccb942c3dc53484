"""What a key may do, tokens of somebody's own login, the rate limit of a key, and what browsers are told."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from tests.api.conftest import Api
from tests.api.login_server import AUDIENCE, ISSUER, Login, login_server
from tests.api.server import serving, settings
from tests.api.test_access import _routes
from tests.text.test_names import NO_NAMES

from ateneo.db import keys
from ateneo.db.pool import Database
from ateneo.errors import SettingsError
from ateneo.providers.login import LoginTokens
from ateneo.types import Caller

SECRET = "una clave compartida de treinta y dos bytes o mas"


@pytest.fixture(scope="module")
def login() -> Iterator[Login]:
    with login_server() as running:
        yield running


@pytest.fixture(scope="module")
def gate(api: Api, login: Login) -> Iterator[str]:
    """The API of a team with a login of its own, ten requests a minute."""
    chosen = settings(
        api.database_url,
        ATENEO_JWT_JWKS=login.url,
        ATENEO_JWT_ISSUER=ISSUER,
        ATENEO_JWT_AUDIENCE=AUDIENCE,
        ATENEO_REQUESTS_PER_MINUTE="10",
    )
    with serving(chosen) as address:
        yield address


def ask(url: str, secret: str, path: str = "/documents", **more: object) -> httpx.Response:
    return httpx.get(f"{url}{path}", headers={"Authorization": f"Bearer {secret}"}, timeout=60)


def made(api: Api, *scopes: str) -> str:
    async def make() -> str:
        async with await Database.open(api.database_url, size=1) as db:
            return (await keys.create(db, "acme", scopes=scopes)).secret

    return asyncio.run(make())


def scope_of(method: str, path: str) -> str:
    """What each route takes, said here once more, by hand: a new route is read by GET, and written by all else."""
    if path.endswith("/chat") or path.startswith(("/conversations", "/gaps", "/v1/")):
        return "agents"
    if path == "/audit":
        return "admin"
    reads = path.startswith(("/search", "/retrieval")) or path.endswith("/locate")
    return "read" if method == "GET" or reads else "write"


def test_every_route_takes_its_scope(api: Api) -> None:
    secrets = {scope: made(api, scope) for scope in ("read", "write", "agents", "admin")}
    for method, path in _routes():
        for scope, secret in secrets.items():
            headers = {"Authorization": f"Bearer {secret}"}
            answer = httpx.request(method, f"{api.url}{path}", headers=headers, params={"limit": "zzz"}, timeout=60)
            refused = answer.status_code == 403 and answer.json()["code"] == "scope-missing"
            assert refused == (scope != scope_of(method, path)), (method, path, scope, answer.text)


@pytest.mark.parametrize("kid", ["rs", "es"])
def test_a_token_is_of_its_company(gate: str, login: Login, kid: str) -> None:
    answer = ask(gate, login.token(kid, sub=f"ana-{kid}"))
    assert [one["source"] for one in answer.json()["documents"]] == ["feriados.md"]
    answer = ask(gate, login.token(kid, sub=f"eva-{kid}", empresa_id="otra"))
    assert [one["source"] for one in answer.json()["documents"]] == ["formula.md"]
    assert login.asked <= 3


def _wrong(login: Login) -> dict[str, str]:
    other = Login()
    unsigned = jwt.encode({"sub": "ana", "empresa_id": "acme"}, "", algorithm="none")
    public = login.private["rs"].public_key()
    return {
        "expired": login.token(exp=int(time.time()) - 3600),
        "not yet": login.token(nbf=int(time.time()) + 3600),
        "no end": login.token(exp=None),
        "another issuer": login.token(iss="https://evil.example"),
        "another audience": login.token(aud="otra-api"),
        "no audience": login.token(aud=None),
        "no subject": login.token(sub=None),
        "no company": login.token(empresa_id=None),
        "empty company": login.token(empresa_id=" "),
        "company as a list": login.token(empresa_id=["acme"]),
        "somebody else's key": login.token("rs", key=other.private["rs"]),
        "unknown kid": login.token("rs-nueva", key=other.private["rs"]),
        "shared secret": login.token("rs", key=SECRET, algorithm="HS256"),
        "public key as a secret": _confused(login, json.dumps(str(public))),
        "none": unsigned,
        "none, capital": unsigned.replace("bm9uZS", "Tm9uZS"),
        "garbage": "eyJ.eyJ.x",
        "not ascii": "ñ",
    }


def _confused(login: Login, secret: str) -> str:
    return login.token("es", key=secret * 2, algorithm="HS256")


def _badly_named(login: Login) -> dict[str, str]:
    """RFC 7519, section 4.1: `sub` is a string; what names a company or a person is what `keys create` takes."""
    subjects = {f"sub {text!r:.20}": login.token(sub=text) for text in NO_NAMES}
    companies = {f"company {text!r:.20}": login.token(empresa_id=text) for text in [*NO_NAMES, 7, {}, True]}
    scopes = [7, True, False, {"read": True}, ["read", 7], [["read"]], 1.5]
    return (
        subjects
        | companies
        | {f"{name} {one}": login.token_of({name: one}) for name in ("scope", "scp") for one in scopes}
    )


def test_a_claim_of_a_wrong_type_allows_nothing(gate: str, login: Login) -> None:
    tokens = _badly_named(login) | {
        "scope null": login.token_of({"scope": None}),
        "scp null": login.token_of({"scp": None}),
    }
    answers = {why: ask(gate, token).status_code for why, token in tokens.items()}
    assert {why for why, status in answers.items() if status != 401} == set()


def test_no_other_token_holds(gate: str, login: Login) -> None:
    answers = {
        why: httpx.get(f"{gate}/documents", headers={b"Authorization": f"Bearer {token}".encode()})
        for why, token in _wrong(login).items()
    }
    assert {why for why, answer in answers.items() if answer.status_code != 401} == set()
    assert len({answer.text for answer in answers.values()}) == 1  # nobody is told what was wrong


def test_scopes_come_from_the_token(gate: str, login: Login) -> None:
    allowed: list[dict[str, Any]] = [{"scope": "openid read write"}, {"scp": ["write"]}]
    for number, claim in enumerate(allowed):
        token = login.token(sub=f"yes {number}", **claim)
        answer = httpx.delete(f"{gate}/documents/x", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 404, answer.text
    refused: list[dict[str, Any]] = [{}, {"scope": "read"}, {"scope": ""}, {"scope": "openid\twrite"}, {"scp": []}]
    for number, claim in enumerate(refused):
        token = login.token(sub=f"no {number}", **claim)
        answer = httpx.delete(f"{gate}/documents/x", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing"), claim


def test_a_token_without_a_login_is_no_key(api: Api, login: Login) -> None:
    assert ask(api.url, login.token()).status_code == 401


async def test_keys_from_a_file(tmp_path: Path, login: Login) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(login.jwks))
    tokens = LoginTokens(jwks=str(path), issuer=ISSUER, audience=AUDIENCE, tenant_claim="org", scopes=["read"])
    caller = await tokens.verify(login.token("es", org="acme"))
    assert caller == Caller("acme", "jwt:ana", frozenset({"read"}))
    path.write_text("{")
    with pytest.raises(SettingsError):
        LoginTokens(jwks=str(path), issuer=ISSUER, audience=AUDIENCE, tenant_claim="org", scopes=[])


def test_a_key_has_its_own_rate_limit(gate: str, api: Api) -> None:
    busy, quiet = made(api, "read"), made(api, "read")
    answers = [ask(gate, busy) for _ in range(14)]
    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "rate-limited"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert ask(gate, quiet).status_code == 200


def test_browsers_are_told_to_keep_out(api: Api) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for answer in (
        httpx.options(f"{api.url}/documents", headers=asked),
        httpx.get(f"{api.url}/documents", headers={**asked, **api.acme}),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_not_yours_and_not_there_are_one_answer(api: Api) -> None:
    answers = []
    for document_id in (api.otra_document, "00000000-0000-0000-0000-000000000000"):
        answer = httpx.delete(f"{api.url}/documents/{document_id}", headers=api.acme)
        answers.append((answer.status_code, answer.text.replace(document_id, "?")))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@pytest.mark.parametrize("variable", ["DATABASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ATENEO_RERANKER_API_KEY"])
def test_secrets_are_masked_where_settings_are_shown(variable: str) -> None:
    chosen = settings(**{"url": "postgresql://u:secreto123@h/d", variable: "postgresql://u:secreto123@h/d"})
    assert "secreto123" not in f"{chosen!r} {chosen} {chosen.model_dump()!r} {chosen.model_dump_json()}"
