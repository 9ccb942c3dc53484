"""What `make mutants` finds by itself, and that its list of mutants that nothing can notice is not stale."""

import ast

from tests.mutants.__main__ import equivalent, noticed_by, sampled
from tests.mutants.find import mutants
from tests.mutants.mutant import PACKAGE, ROOT

FOUND = mutants()


def test_every_kind_of_guard_is_found() -> None:
    assert {one.kind for one in FOUND} == {
        "authentication", "check", "claim", "company", "condition", "confinement", "limit", "list entry", "policy",
        "refusal", "right", "scope", "setting", "tenant",
    }  # fmt: skip
    names = {one.name for one in FOUND}
    for known in (
        "setting mcp/transports.py _only_by: enable_dns_rebinding_protection=True",
        "policy db/sql/functions/protect.sql deviations: empresa_id = (SELECT ateneo.tenant())",
        "tenant db/sql/functions/passages.sql own_passages: ateneo.tenant(p_empresa)",
        "check access/service.py caller: self._failures.check(secret, address)",
    ):
        assert known in names
    assert any("RLIMIT_AS" in name for name in names)
    assert any(name.endswith(": begin_generation") for name in names)
    assert len(names) == len(FOUND)


def test_each_changes_its_file_and_has_tests_that_are_there() -> None:
    for one in FOUND:
        source = (PACKAGE / one.path).read_text(encoding="utf-8")
        changed = one.applied(source)
        assert changed != source
        if one.path.endswith(".py"):
            ast.parse(changed)
        for test in noticed_by(one):
            assert (ROOT / test.partition("::")[0]).is_file(), test


def test_those_that_no_test_can_notice_are_still_there_and_say_why() -> None:
    names = {one.name for one in FOUND}
    for name, reason in equivalent().items():
        assert name in names, f"{name}: no such mutant any more: take it off the list"
        assert len(reason) > 20


def test_a_sample_has_every_kind_and_is_the_same_every_time() -> None:
    some = sampled(FOUND, 14)
    assert len({one.kind for one in some}) == 14
    assert some == sampled(list(reversed(FOUND)), 14)
