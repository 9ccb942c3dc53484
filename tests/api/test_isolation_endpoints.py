"""Three companies that share document ids, file names, texts and agents, through every route and command: whatever one
does, with whichever company's ids, brings no word of another's and leaves every row of the others as it was."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.api import endpoint_matrix as matrix
from tests.api.endpoint_matrix import CANARY, COMMANDS, COMPANIES, FIGURES, NOT_AUDITED, ROUTES, STEPS, World
from tests.api.server import serving
from tests.api.server import settings as of_api
from tests.examples import examples


def test_every_route_and_command_has_a_case() -> None:
    assert matrix.routes() == ROUTES.keys()
    assert matrix.commands() == COMMANDS.keys()


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with serving(of_api(database_url, ATENEO_SERVE_JOBS="0")) as url, World(database_url, url, tmp_path) as made:
        made.begin()
        yield made


TELLS = ("GET /search/semantic", "GET /documents", "GET /agents", "search", "agents show", "agents list", "queue list",
         "queue show", "keys list", "synonyms list", "documents list", "documents show")  # fmt: skip
"""Steps that say the company's own canary."""


def check(world: World, name: str, who: str, whose: str) -> None:
    """One step of `who`, aimed at the ids of `whose`."""
    before = world.rows()
    said = world.step(name, who, world.ids(whose))
    after = world.rows()
    for other in set(COMPANIES) - {who}:
        assert CANARY[other] not in said, (name, who, said)
        assert after.get(other) == before.get(other), (name, who, other)


def test_each_once_with_ones_own_ids_and_with_anothers(world: World, log: io.StringIO) -> None:
    for name in STEPS:
        for company in COMPANIES:
            world.fill_queue(company)
        check(world, name, "acme", "otra")
        check(world, name, "otra", "otra")
    for name in FIGURES:
        said = world.command([*name.split()])
        assert not [one for one in CANARY.values() if one in said], (name, said)
    written = log.getvalue()
    assert written.count("path=/documents") > 5
    assert not [one for one in (*CANARY.values(), *world.secrets.values()) if one in written]


def test_every_command_of_a_company_is_in_its_audit_log(world: World) -> None:
    """With something of its own to be found by each."""
    first, last = ("add", "ask", "create", "import", "rate", "set"), ("delete", "purge", "remove", "revoke")
    names = [name for name, case in COMMANDS.items() if callable(case) and name not in NOT_AUDITED]
    for name in sorted(names, key=lambda one: (one.split()[-1] in last, one.split()[-1] not in first)):
        if name.startswith(("queue", "jobs", "conversations purge")):
            world.fill_queue("acme")
        before = world.audit_log("acme")
        said = world.step(name, "acme", world.ids("acme"))
        written = world.audit_log("acme")
        assert len(written) > len(before), (name, said)
        assert written[0].action.startswith(name.split()[0]), (name, written[0])
        assert CANARY["acme"] not in str(written)


def test_each_finds_its_own(world: World) -> None:
    """What the other tests do not find is there to be found."""
    for who in COMPANIES:
        for name in TELLS:
            assert CANARY[who] in world.step(name, who, world.ids(who)), (name, who)


def machine(world: World) -> type[RuleBasedStateMachine]:
    class Companies(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            world.begin()

        @rule(name=st.sampled_from(STEPS), who=st.sampled_from(COMPANIES), whose=st.sampled_from(COMPANIES))
        def step(self, name: str, who: str, whose: str) -> None:
            check(world, name, who, whose)

    return Companies


@pytest.mark.hypothesis
def test_in_any_order(world: World) -> None:
    run_state_machine_as_test(
        machine(world),
        settings=settings(
            max_examples=examples(5),
            stateful_step_count=15,
            phases=[Phase.generate],  # each step takes a second: to shrink a failure takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
