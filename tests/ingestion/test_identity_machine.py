"""Two companies load folders and files, with ids and without, replace, delete, and run SQL of their own.

A model of plain dictionaries says what must be there: every accepted document once, with its last text, title and
metadata, and every chunk of other programs untouched.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from tests.examples import examples
from tests.providers.server import ProviderServer

from ateneo.db import documents, generations
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import SeveralDocuments, UnknownDocument
from ateneo.ingestion.service import IngestionService
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.types import Origin, StoredDocument

COMPANY = st.sampled_from(("acme", "globex"))
NAME = st.sampled_from(("factura.txt", "contrato.txt"))
WORD = st.sampled_from(("caldera", "feriado", "telar"))
ID = st.sampled_from(("uno", "dos"))
FOLDER = st.sampled_from(("f1", "f2"))
TITLE = st.none() | st.sampled_from(("Primero", "Segundo"))
METADATA = st.none() | st.sampled_from(({}, {"area": "rrhh"}, {"area": "legales", "n": 1}))
FOREIGN = ("uno", "dos", "libre")
"""Ids under which another program has a chunk in each company: two of them are documents' ids, too."""


@dataclass
class Expected:
    """What must be there of a document. `identity`: by what else than its document_id it is found."""

    name: str
    word: str
    arrival: int
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    identity: tuple[str, ...] = ()


def text(word: str) -> bytes:
    return f"La {word} es cosa sabida por todos en la planta.".encode()


def assert_as_expected(found: StoredDocument, expected: Expected, content: str) -> None:
    assert found.source == expected.name
    assert found.title == (expected.title or expected.name)
    assert {k: v for k, v in found.metadata.items() if k != "language"} == expected.metadata
    assert content.count(expected.word) == content.count("cosa sabida") == 1


class Documents(RuleBasedStateMachine):
    """The rules; a subclass names the parts that they run on."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    owner: ClassVar[Database]
    ingestion: ClassVar[IngestionService]

    begun = Bundle("begun")

    def run_async(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.held: dict[str, dict[str, Expected]] = {"acme": {}, "globex": {}}
        self.run_async(self._clear())

    async def _clear(self) -> None:
        async with self.owner.transaction() as connection:
            await connection.execute("DELETE FROM public.knowledge_chunks; DELETE FROM ateneo.document")
            for company in self.held:
                for document_id in FOREIGN:
                    await connection.execute(
                        "INSERT INTO public.knowledge_chunks (id, document_id, empresa_id, contenido)"
                        " VALUES ($1 || $2, $1, $2, 'ajeno ' || $1 || $2)",
                        document_id, company,
                    )  # fmt: skip

    def _number(self, arrival: int | None) -> int:
        return self.run_async(self.ingestion.arrive("acme")) if arrival is None else arrival

    def _check(self, company: str, expected: Expected, before: str | None, made: StoredDocument) -> None:
        """`before`: the id of the document that it has to be, None: of a new one."""
        held = self.held[company]
        if before is None:
            assert made.status == "created"
            assert made.document_id not in held
            assert set(made.same_name) == {one for one, it in held.items() if it.name == expected.name}
            assert set(made.same_bytes) == {one for one, it in held.items() if it.word == expected.word}
            expected.metadata = expected.metadata or {}
            held[made.document_id] = expected
            return
        assert made.document_id == before
        old = held[before]
        if expected.arrival < old.arrival:
            assert made.status == "superseded"
            return
        assert made.status in ("replaced", "updated", "unchanged")
        held[before] = expected

    def _send(self, company: str, name: str, word: str, title: str | None, metadata: Any, before: str | None,
              identity: tuple[str, ...], arrival: int | None, **how: Any) -> None:  # fmt: skip
        number = self._number(arrival)
        made = self.run_async(
            self.ingestion.process_document(
                text(word), company, name=name, title=title, metadata=metadata, arrival=number, **how
            )
        )
        old = self.held[company].get(before) if before is not None else None
        expected = Expected(
            name,
            word,
            number,
            title or (old.title if old else None),
            metadata if metadata is not None else (old.metadata if old else {}),
            identity or (old.identity if old else ()),
        )
        self._check(company, expected, before, made)

    def _of(self, company: str, identity: tuple[str, ...]) -> str | None:
        return next((one for one, it in self.held[company].items() if it.identity == identity), None)

    @rule(target=begun)
    def an_upload_begins(self) -> int:
        return int(self.run_async(self.ingestion.arrive("acme")))

    @rule(company=COMPANY, name=NAME, word=WORD, title=TITLE, metadata=METADATA)
    def upload(self, company: str, name: str, word: str, title: str | None, metadata: Any) -> None:
        self._send(company, name, word, title, metadata, None, (), None)

    @rule(company=COMPANY, name=NAME, word=WORD, title=TITLE, metadata=METADATA, document_id=ID,
          arrival=st.none() | begun)  # fmt: skip
    def upload_with_id(self, company: str, name: str, word: str, title: str | None, metadata: Any, document_id: str,
                       arrival: int | None) -> None:  # fmt: skip
        before = document_id if document_id in self.held[company] else None
        self._send(company, name, word, title, metadata, before, (), arrival, document_id=document_id)
        assert document_id in self.held[company]

    @rule(company=COMPANY, name=NAME, word=WORD, title=TITLE, metadata=METADATA, external_id=ID,
          arrival=st.none() | begun)  # fmt: skip
    def upload_with_external_id(self, company: str, name: str, word: str, title: str | None, metadata: Any,
                                external_id: str, arrival: int | None) -> None:  # fmt: skip
        before = self._of(company, ("", external_id))
        self._send(company, name, word, title, metadata, before, ("", external_id), arrival, external_id=external_id)

    @rule(company=COMPANY, folder=FOLDER, names=st.dictionaries(NAME, WORD, min_size=1))
    def ingest_a_folder(self, company: str, folder: str, names: dict[str, str]) -> None:
        for name, word in names.items():
            before = self._of(company, (folder, name))
            origin = Origin(folder, name, f"/x/{folder}")
            self._send(company, name, word, None, None, before, (folder, name), None, origin=origin)

    @rule(company=COMPANY, name=NAME, word=WORD, title=TITLE)
    def replace_by_name(self, company: str, name: str, word: str, title: str | None) -> None:
        named = [one for one, it in self.held[company].items() if it.name == name]
        try:
            self._send(company, name, word, title, None, named[0] if named else None, (), None, replace=True)
            assert len(named) <= 1
        except SeveralDocuments:
            assert len(named) > 1

    @rule(company=COMPANY, other=COMPANY, word=WORD, name=NAME, which=st.integers(0, 5))
    def replace_one(self, company: str, other: str, word: str, name: str, which: int) -> None:
        ids = sorted(self.held[other])
        if not ids:
            return
        document_id = ids[which % len(ids)]
        try:
            made = self.run_async(self.ingestion.replace_document(text(word), company, document_id, name=name))
        except UnknownDocument:
            assert document_id not in self.held[company]
            return
        old = self.held[company][document_id]
        now = self.run_async(self.ingestion.arrive("acme"))
        self._check(company, Expected(name, word, now, old.title, old.metadata, old.identity), document_id, made)

    @rule(company=COMPANY, other=COMPANY, which=st.integers(0, 5))
    def delete(self, company: str, other: str, which: int) -> None:
        ids = [*sorted(self.held[other]), "libre"]
        document_id = ids[which % len(ids)]
        try:
            self.run_async(self.ingestion.delete_document(company, document_id))
            del self.held[company][document_id]
        except UnknownDocument:
            assert document_id not in self.held[company]

    @rule(company=COMPANY, which=st.integers(0, 5), word=WORD)
    def the_user_deletes_its_chunks(self, company: str, which: int, word: str) -> None:
        """And its file is ingested again, as it was."""
        ids = sorted(self.held[company])
        if not ids:
            return
        document_id = ids[which % len(ids)]
        it = self.held[company][document_id]
        self.run_async(self._delete_chunks(company, document_id))
        self._send(company, it.name, it.word, None, None, document_id, it.identity, None, document_id=document_id)

    async def _delete_chunks(self, company: str, document_id: str) -> None:
        async with self.owner.transaction() as connection:
            await connection.execute(
                "DELETE FROM public.knowledge_chunks WHERE empresa_id = $1 AND document_id = $2"
                " AND contenido NOT LIKE 'ajeno %'",
                company, document_id,
            )  # fmt: skip

    @invariant()
    def every_document_is_there_once_and_nothing_else_was_touched(self) -> None:
        for company, held in self.held.items():
            listed = self.run_async(self.ingestion.list_documents(company, limit=1000))
            assert sorted(one.document_id for one in listed) == sorted(held)
            texts = self.run_async(documents.texts(self.owner, company))
            for one in listed:
                assert_as_expected(one, held[one.document_id], texts[one.document_id])
            for document_id in FOREIGN:
                assert f"ajeno {document_id}{company}" in texts[document_id]
            assert texts.keys() == held.keys() | set(FOREIGN)


@contextmanager
def opened(database_url: str, provider: ProviderServer) -> Iterator[type[Documents]]:
    """The rules on an event loop, pools and services of their own."""
    with asyncio.Runner() as runner:

        async def begin() -> tuple[Database, Database, EmbeddingService]:
            owner = await Database.open(database_url, size=2)
            app = await Database.open(database_url, size=2, guarded=True)
            embedding = EmbeddingService(OpenAIEmbedder(api_key="k", model="m", base_url=provider.url, timeout_s=10))
            await generations.create(owner, embedding.provider, embedding.model, provider.dims)
            return owner, app, embedding

        owner, app, embedding = runner.run(begin())
        parts = {"loop": runner.get_loop(), "owner": owner, "ingestion": IngestionService(app, embedding)}
        yield type("Opened", (Documents,), parts)
        for one in (embedding, app, owner):
            runner.run(one.close())


def run_examples(database_url: str, provider: ProviderServer, count: int, steps: int) -> None:
    with opened(database_url, provider) as machine:
        run_machine(
            machine,
            settings=settings(
                max_examples=examples(count), stateful_step_count=steps, suppress_health_check=list(HealthCheck)
            ),
        )


def test_every_accepted_document_is_there_once(database_url: str, provider: ProviderServer) -> None:
    run_examples(database_url, provider, 5, 15)


@pytest.mark.hypothesis
@pytest.mark.long
def test_every_accepted_document_is_there_once_in_many_orders(database_url: str, provider: ProviderServer) -> None:
    run_examples(database_url, provider, 50, 20)
