"""Every field of every JSON body, with values that nobody means: answered, or refused as a problem, and never a 500."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.test_access import _app
from tests.api.test_isolation_access import made

from ateneo.api.docs_page import example

DESCRIPTION = _app().openapi()
ODD: list[Any] = [
    None, True, -1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "\x00", "\ud800", "x" * 100_000,
    [], [[]], {}, {"a": {}}, [None], ["\x00"],
]  # fmt: skip
RAW = [b"", b"null", b"[]", b"[" * 100_000, b"\xff\xfe", b'"x"', b"1" * 6000, b'{"query": ' + b"1" * 6000 + b"}"]


def _bodies() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DESCRIPTION["paths"].items():
        for method, operation in item.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                if kind == "application/json":
                    yield method, path.format(agent_id="raro", conversation_id="x", document_id="x"), content["schema"]


BODIES = list(_bodies())


@pytest.mark.parametrize(("method", "path", "schema"), BODIES, ids=[f"{method} {path}" for method, path, _ in BODIES])
def test_odd_json_is_answered_or_refused(api: Api, method: str, path: str, schema: dict[str, Any]) -> None:
    sample = {**example(schema, DESCRIPTION["components"]["schemas"]), "empresa_id": None}
    tried = [json.dumps(sample | {field: odd}).encode() for field in sample for odd in ODD]
    headers = {"Authorization": f"Bearer {made(api, 'read', 'write', 'agents')}", "Content-Type": "application/json"}
    with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client:
        for content in [*tried, *RAW]:
            answer = client.request(method, path, content=content)
            assert answer.status_code < 500, (content[:200], answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", content[:200]


def test_there_are_bodies_to_try() -> None:
    assert {path for _, path, _ in BODIES} >= {"/search/semantic", "/agents/raro/chat", "/agents/raro"}
