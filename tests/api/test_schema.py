"""Requests made from the OpenAPI description, for every operation: none breaks the API or brings what is another's."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from tests.api.conftest import Api
from tests.api.test_access import PUBLIC, _app
from tests.api.test_isolation_access import made
from tests.examples import examples

CANARY = "zafirocanario7391"
PASSAGE = f"# Plan {CANARY}\n\nEl precio reservado {CANARY} es de cuarenta y dos florines.\n"
IN_BODY = {"POST /documents": "document_id", "POST /agents/{agent_id}/chat": "conversation_id"}
UNKNOWN = {"Authorization": "Bearer ate_000000000000_" + "0" * 64}


def _operations() -> dict[str, Any]:
    config = schemathesis.Config()
    # The keys come from the test.
    config.projects.default.generation.update(with_security_parameters=False)
    schema = schemathesis.openapi.from_dict(_app().openapi(), config=config)
    found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    return {operation.label: operation for operation in found}


OPERATIONS = _operations()


@dataclass(frozen=True)
class Victim:
    """What the company otra has, each of it with the canary; `acme` may do everything in the other company."""

    api: Api
    acme: dict[str, str]
    document_id: str
    agent_id: str
    conversation_id: str
    job_id: str

    def view(self) -> dict[str, Any]:
        """All that it reads of its own."""
        paths = ("/documents", "/jobs", "/agents", "/conversations", f"/conversations/{self.conversation_id}")
        found = {path: self._get(path) for path in paths}
        found["search"] = self._get("/search/semantic", q=f"precio reservado {CANARY}")
        return found

    def _get(self, path: str, **params: str) -> Any:
        answer = httpx.get(f"{self.api.url}{path}", headers=self.api.otra, params=params, timeout=60)
        assert answer.status_code == 200 and CANARY in answer.text, (path, answer.text)
        return answer.json()


@pytest.fixture(scope="module")
def victim(api: Api) -> Victim:
    with httpx.Client(base_url=api.url, headers=api.otra, timeout=60) as otra:
        file = {"file": (f"{CANARY}.md", PASSAGE.encode())}
        document = otra.post("/documents", files=file, data={"title": f"Plan {CANARY}"}).json()["document_id"]
        job = otra.get("/jobs").json()["jobs"][0]["job_id"]
        body = {"name": f"Ana {CANARY}", "instructions": f"Sos {CANARY}."}
        assert otra.put("/agents/reservada", json=body).status_code == 200
        question = {"message": f"¿Cuál es el precio reservado {CANARY}?"}
        conversation = otra.post("/agents/reservada/chat", json=question).json()["conversation_id"]
    acme = {"Authorization": f"Bearer {made(api, 'read', 'write', 'agents', 'admin')}"}
    return Victim(api, acme, document, "reservada", conversation, job)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def each(label: str, mode: GenerationMode, count: int, attempt: Callable[[Case[Any]], None]) -> None:
    """Calls `attempt` with requests made for the operation."""

    @hypothesis_settings(
        max_examples=examples(count),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def run(case: Case[Any]) -> None:
        if isinstance(case.body, dict):
            case.body.pop("empresa_id", None)  # almost always 403, and tested by itself
        attempt(case)

    run()


def _can_be_wrong(label: str) -> bool:
    return bool(len(OPERATIONS[label].query) or len(OPERATIONS[label].body))


MEANT = {"POST /retrieval", "POST /v1/chat/completions"}
"""What is as the schema says may still be refused: a knowledge that there is not, a last message that asks nothing."""
CASES = [(label, GenerationMode.POSITIVE) for label in OPERATIONS]
CASES += [(label, GenerationMode.NEGATIVE) for label in OPERATIONS if _can_be_wrong(label)]


@pytest.mark.hypothesis
@pytest.mark.parametrize(("label", "mode"), CASES)
def test_no_request_breaks_it_or_brings_what_is_anothers(
    victim: Victim, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    statuses: Counter[int] = Counter()

    def attempt(case: Case[Any]) -> None:
        answer = case.call(base_url=victim.api.url, session=session, headers=victim.acme, timeout=60)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, (answer.status_code, answer.text)
        assert CANARY not in answer.text
        assert answer.status_code not in (401, 403, 405), answer.text  # the request went as far as the route

    each(label, mode, 10, attempt)
    if mode is GenerationMode.POSITIVE and "{" not in label and label not in MEANT:
        assert min(statuses) < 300, statuses


def _aimed(case: Case[Any], victim: Victim) -> None:
    """Puts otra's ids wherever the request has place for one."""
    for name in case.path_parameters:
        case.path_parameters[name] = getattr(victim, name)
    if any(parameter.name == "after" for parameter in case.operation.query):
        case.query["after"] = victim.conversation_id
    field = IN_BODY.get(case.operation.label)
    if field:
        assert isinstance(case.body, dict)
        case.body[field] = getattr(victim, field)


@pytest.mark.hypothesis
@pytest.mark.parametrize("label", OPERATIONS)
def test_anothers_ids_bring_and_change_nothing(victim: Victim, session: requests.Session, label: str) -> None:
    """The agent of otra's name that acme has, too, lets its requests go on to the other ids."""
    named = f"{victim.api.url}/agents/{victim.agent_id}"
    assert httpx.put(named, headers=victim.acme, json={"name": "de acme"}).status_code == 200
    before = victim.view()

    def attempt(case: Case[Any]) -> None:
        _aimed(case, victim)
        answer = case.call(base_url=victim.api.url, session=session, headers=victim.acme, timeout=60)
        assert answer.status_code < 500, (answer.status_code, answer.text)
        assert CANARY not in answer.text
        for headers in () if case.operation.path in PUBLIC else ({}, UNKNOWN):
            refused = case.call(base_url=victim.api.url, session=session, headers=headers, timeout=60)
            assert (refused.status_code, refused.json()["code"]) == (401, "access-denied")

    each(label, GenerationMode.POSITIVE, 4, attempt)
    assert victim.view() == before
