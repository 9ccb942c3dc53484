"""A company's words and keys go nowhere but to that company: no other's answer or prompt, no log, no metric."""

import asyncio
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from tests.api.test_commands import MAIN, _answers, _free_port
from tests.providers import anthropic_server
from tests.providers.anthropic_server import Reply, Server, call, fault, message

from ateneo.db import keys
from ateneo.db.pool import Database

COMPANIES = ("acme", "otra")
CANARY = {"acme": "zafirocanario7391", "otra": "topaziocanario2846"}
PROVIDER_KEY = "sk-ant-clavecanario5517"


@dataclass
class Run:
    """Every answer that each company got, what the server wrote, and what the provider was sent for each company."""

    answers: dict[str, list[httpx.Response]] = field(default_factory=lambda: {one: [] for one in COMPANIES})
    open_answers: list[httpx.Response] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(COMPANIES, ""))
    keys: dict[str, str] = field(default_factory=dict)
    log: str = ""


class Company:
    """Asks as one of the companies, with its canary in all that it says."""

    def __init__(self, client: httpx.Client, name: str, run: Run, provider: Server) -> None:
        self.client, self.name, self.canary, self.run, self.provider = client, name, CANARY[name], run, provider

    def ask(self, method: str, path: str, expected: int, **request: object) -> httpx.Response:
        sent = len(self.provider.requests)
        answer = self.client.request(method, path, **request)  # type: ignore[arg-type]
        assert answer.status_code == expected, (method, path, answer.text)
        self.run.answers[self.name].append(answer)
        self.run.prompts[self.name] += json.dumps(self.provider.requests[sent:], ensure_ascii=False)
        return answer

    def store(self) -> None:
        text = f"# Plan {self.canary}\n\nEl precio reservado {self.canary} es de cuarenta y dos florines.\n"
        form = {
            "title": f"Plan {self.canary}",
            "metadata": json.dumps({"area": self.canary}),
            "external_id": self.canary,
        }
        for expected in (201, 200):
            self.ask("POST", "/documents", expected, data=form, files={"file": (f"{self.canary}.md", text.encode())})
        self.ask("PUT", "/agents/ventas", 200, json={"name": self.canary, "instructions": f"Sos {self.canary}."})

    def question(self, **more: object) -> dict[str, object]:
        return {"message": f"¿Cuál es el precio reservado {self.canary}?", **more}

    def use(self) -> None:
        """Searches, answers, documents and conversations."""
        words = f"precio reservado {self.canary}"
        for more in ({}, {"mode": "lexical"}, {"mode": "dense"}, {"highlight": "true", "neighbours": "1"}):
            self.ask("GET", "/search/semantic", 200, params={"q": words, **more})
        self.ask("POST", "/search/semantic", 200, json={"query": "precio reservado", "k": 50})
        chat = self.ask("POST", "/agents/ventas/chat", 200, json=self.question()).json()
        self.ask("POST", "/agents/ventas/chat", 200, json=self.question(stream=True))
        mark = {"position": 0, "rating": -1, "comment": f"Faltó {self.canary}"}
        one = f"/conversations/{chat['conversation_id']}"
        self.ask("PUT", f"{one}/feedback", 204, json=mark)
        for path in ("/documents", "/agents", "/conversations", one, "/audit"):
            self.ask("GET", path, 200)

    def err(self, other: str) -> None:
        """What is refused, with the canary in it."""
        word = self.canary
        self.ask("GET", "/search/semantic", 422, params={"q": word, "k": word})
        self.ask("GET", "/search/semantic", 422, params={"q": word * 3000})
        self.ask("POST", "/search/semantic", 422, json={"query": word, word: word})
        self.ask("POST", "/search/semantic", 422, content=f'{{"query": "{word}'.encode())
        self.ask("GET", "/search/semantic", 403, params={"q": word, "empresa_id": other})
        self.ask("PUT", "/agents/ventas", 422, json={"language": word.upper()})
        broken = {"file": (f"{word}.pdf", f"%PDF-1.7 {word}".encode())}
        self.ask("POST", "/documents", 422, files=broken)
        self.ask("DELETE", "/documents/nada", 404)  # ids are in paths, and paths in the log
        self.ask("GET", "/documents", 401, params={"q": word}, headers={"Authorization": f"Bearer {word}"})

    def fail(self) -> None:
        """The provider refuses, and repeats what it was sent and by whom."""
        said = f"no: {self.canary} {PROVIDER_KEY}"
        for status, expected in ((400, 502), (401, 502), (429, 503), (500, 503)):
            refusal = fault(status, "some_error", said, **{"x-should-retry": "false"})
            self.provider.reply = lambda n, refusal=refusal: refusal  # type: ignore[misc]
            answer = self.ask("POST", "/agents/ventas/chat", expected, json=self.question())
            assert self.canary in answer.json()["detail"]  # who asked is told
        self.ask("POST", "/agents/ventas/chat", 200, json=self.question(stream=True))


@contextmanager
def _company(url: str, name: str, run: Run, provider: Server) -> Iterator[Company]:
    headers = {"Authorization": f"Bearer {run.keys[name]}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        yield Company(client, name, run, provider)


@contextmanager
def _served(url: str, provider: str) -> Iterator[tuple[str, list[str]]]:
    """`ateneo serve` in a process of its own; gives its address and the lines that it writes."""
    port, lines = _free_port(), list[str]()
    environment = {"ANTHROPIC_API_KEY": PROVIDER_KEY, "ANTHROPIC_BASE_URL": provider, "DATABASE_URL": url}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment | {"ATENEO_THREADS": "1"}).items():
            patch.setenv(name, value)
        server = subprocess.Popen(
            [*MAIN, "serve", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    assert server.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(server.stdout,))
    reader.start()
    try:
        _answers(f"http://127.0.0.1:{port}/ready", server)
        yield f"http://127.0.0.1:{port}", lines
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
        reader.join()
        server.stdout.close()


def _searches_then_says(number: int) -> Reply:
    return call("precio reservado") if number % 2 == 0 else message("Son cuarenta y dos florines [1].")


@pytest.fixture
def run(database_url: str) -> Run:
    found = Run(keys={name: asyncio.run(_key(database_url, name)) for name in COMPANIES})
    with ExitStack() as held:
        provider = held.enter_context(anthropic_server.serving(_searches_then_says))
        url, lines = held.enter_context(_served(database_url, provider.url))
        pair = [held.enter_context(_company(url, name, found, provider)) for name in COMPANIES]
        for company in pair:
            company.store()
        for company, other in zip(pair, reversed(COMPANIES), strict=True):
            company.use()
            company.err(other)
        for company in pair:
            company.fail()
        for path in ("/metrics", "/health", "/ready", "/openapi.json", "/nada"):
            found.open_answers.append(httpx.get(f"{url}{path}"))
    found.log = "".join(lines)
    return found


async def _key(url: str, empresa_id: str) -> str:
    async with await Database.open(url, size=1) as db:
        return (await keys.create(db, empresa_id, scopes=keys.SCOPES)).secret


def test_a_companys_words_and_keys_reach_nobody_else(run: Run) -> None:
    secrets = [*run.keys.values(), *(key.rsplit("_", 1)[1] for key in run.keys.values()), PROVIDER_KEY]
    for name, other in zip(COMPANIES, reversed(COMPANIES), strict=True):
        own = "".join(_shown(answer) for answer in run.answers[name])
        assert own.count(CANARY[name]) > 20  # it gets its own
        assert CANARY[name] in run.prompts[name]
        for answer in run.answers[other]:
            assert CANARY[name] not in _shown(answer), answer.request.url
        assert CANARY[name] not in run.prompts[other]
        assert not [secret for secret in run.keys.values() if secret in own]
    public = "".join(_shown(answer) for answer in run.open_answers)
    assert "ateneo_queue_chunks" in public
    assert run.log.count("path=/search/semantic") >= 10, run.log  # it is the log of all this
    for text in (public, run.log):
        assert not [word for word in (*CANARY.values(), *secrets) if word in text], text


def _shown(answer: httpx.Response) -> str:
    return f"{answer.text} {answer.headers}"
