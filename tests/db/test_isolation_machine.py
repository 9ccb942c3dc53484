"""Three companies that share file names, texts and words do random things on one pool of connections. A model of plain
sets says what each must see; a canary of each must be seen by nobody else."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.db.test_isolation_database import put
from tests.examples import examples

from ateneo.db import documents, empresas, keys, synonyms, texts
from ateneo.db import search as db_search
from ateneo.db.pool import Database
from ateneo.errors import UnknownDocument

COMPANIES = ("acme", "otra", "tercera")
SOURCES = ("manual.md", "notas.md")
WORDS = ("caldera", "feriado", "telar")
COMPANY, SOURCE, WORD = st.sampled_from(COMPANIES), st.sampled_from(SOURCES), st.sampled_from(WORDS)


def machine(loop: asyncio.AbstractEventLoop, owner: Database, app: Database) -> type[RuleBasedStateMachine]:
    """The machine on a database of its own. Everything of a company is done as the application's role."""

    def run(work: Any) -> Any:
        return loop.run_until_complete(work)

    class Companies(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.held: dict[str, dict[str, str]] = {company: {} for company in COMPANIES}
            run(self._clear())

        async def _clear(self) -> None:
            async with owner.transaction() as connection:
                await connection.execute("DELETE FROM public.knowledge_chunks; DELETE FROM ateneo.document")
                await connection.execute("DELETE FROM ateneo.synonym; DELETE FROM ateneo.erased")

        @rule(company=COMPANY, source=SOURCE, word=WORD)
        def load(self, company: str, source: str, word: str) -> None:
            run(put(app, company, source, f"La {word} es cosa sabida.", f"canario{company} {word}"))
            self.held[company][source] = word

        @rule(source=SOURCE, word=WORD)
        def load_at_the_same_time(self, source: str, word: str) -> None:
            async def all_of_them() -> None:
                await asyncio.gather(
                    *(put(app, one, source, f"La {word} es cosa sabida.", f"canario{one} {word}") for one in COMPANIES)
                )

            run(all_of_them())
            for one in COMPANIES:
                self.held[one][source] = word

        @rule(company=COMPANY, other=COMPANY)
        def delete_by_the_others_ids(self, company: str, other: str) -> None:
            for document in run(documents.list_documents(app, other)):
                try:
                    run(documents.delete(app, company, document.document_id))
                    assert company == other
                    self.held[company].pop(document.source)
                except UnknownDocument:
                    assert company != other

        @rule(company=COMPANY, other=COMPANY)
        def delete_chunks_by_the_others_ids(self, company: str, other: str) -> None:
            hits = run(db_search.search(app, db_search.Query(other, f"canario{other}"), schema="public")).hits
            gone = run(texts.delete(app, company, [hit.chunk_id for hit in hits]))
            assert gone == (len(hits) if company == other else 0)
            if company == other:
                self.held[company] = {}
                run(self._empty(company))

        async def _empty(self, company: str) -> None:
            for document in await documents.list_documents(app, company):
                await documents.delete(app, company, document.document_id)

        @rule(company=COMPANY, word=WORD)
        def say_it_otherwise(self, company: str, word: str) -> None:
            run(synonyms.add(app, company, [word, f"secreto{company}"]))

        @rule(company=COMPANY)
        def erase(self, company: str) -> None:
            if self.held[company]:
                run(empresas.erase(owner, company))
                run(keys.create(owner, company))
                self.held[company] = {}

        @invariant()
        def each_sees_its_own(self) -> None:
            for company in COMPANIES:
                found = run(documents.list_documents(app, company))
                assert {one.source for one in found} == self.held[company].keys()
                wanted = " ".join(f"canario{one}" for one in COMPANIES)
                hits = run(
                    db_search.search(app, db_search.Query(company, f"{wanted} cosa", k=50), schema="public")
                ).hits
                seen = " ".join(hit.contenido for hit in hits)
                assert not [one for one in COMPANIES if one != company and f"canario{one}" in seen]
                assert (f"canario{company}" in seen) == bool(self.held[company])
                assert not [one for one in run(synonyms.listed(app, company)) if one.startswith("secreto")
                            and one != f"secreto{company}"]  # fmt: skip

    return Companies


@pytest.mark.hypothesis
def test_three_companies_on_one_pool(database_url: str) -> None:
    loop = asyncio.new_event_loop()
    owner = loop.run_until_complete(Database.open(database_url, size=2))
    app = loop.run_until_complete(Database.open(database_url, size=3, guarded=True))
    try:
        run_state_machine_as_test(
            machine(loop, owner, app),
            settings=settings(
                max_examples=examples(20),
                stateful_step_count=8,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run_until_complete(app.close())
        loop.run_until_complete(owner.close())
        loop.close()
