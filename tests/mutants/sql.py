"""Mutants of SQL: conditions on the company, checks of the tenant, refusals, rights and policies, each switched off."""

import re
from collections.abc import Iterator

from tests.mutants.mutant import Mutant

_COMMENT = re.compile(r"--[^\n]*")
_FUNCTION = re.compile(r"CREATE OR REPLACE (?:FUNCTION|PROCEDURE|TRIGGER) (?:ateneo\.)?(\w+)")
_COLUMN = r"(?:\b\w+\.)?\bempresa_id\b(?:::text)?(?: \|\| '')?"
_OPERAND = (
    r"(?:\$\d+(?:::text)?|%L|\{\w+\}|ANY\s*\((?:[^()]|\([^()]*\))*\)|\(\s*SELECT (?:[^()]|\([^()]*\))*\)"
    r"|[a-z_][\w.]*(?:\([^()]*\))?(?:::text)?)"
)
_COMPANY = re.compile(
    r"(?:\b(?:WHERE|AND|OR|ON|NOT|THEN|WHEN|IF|SELECT)|\()\s*"
    rf"(?P<it>{_COLUMN}\s*(?:=|<>|IS DISTINCT FROM)\s*{_OPERAND})"
)
_TENANT = re.compile(r"(?P<call>\bateneo\.(?:writing_)?tenant)\((?P<argument>\w*)\)")
_REFUSAL = re.compile(
    r"\b(?:ELS)?IF (?P<it>(?!EXISTS ateneo|NOT EXISTS ateneo)(?:(?!\bTHEN\b|;).)+?) THEN\s+RAISE EXCEPTION", re.S
)
_LIST = re.compile(r"'\{([^'{}]+,[^'{}]+)\}'")
_ALTERNATIVES = re.compile(r"\(([^()'|\s]+(?:\|[^()'|\s]+)+)\)")
_WHEN = re.compile(r"\bWHEN (?P<it>(?:(?!\bTHEN\b|;).)+?) THEN '?\{?", re.S)
_NO_RIGHT = re.compile(r"\b(?:THEN|ELSE) (?P<it>'\{\}')")
_RETURNED = re.compile(r"\bRETURN QUERY\s(?:[^';]|'(?:[^']|'')*')+;")
_STATEMENT = re.compile(r"^(?:GRANT|REVOKE)\b[^;]+;", re.M)
_CONDITION = re.compile(
    r"\b(?:WHERE|AND|OR|IF)\s+(?P<it>(?!REPLACE)(?:[^();,]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))+?)(?=\s+(?:AND|OR|THEN)\b|;|\n\$\$|\s*\)?$)",
    re.M,
)
_CHECKING = (
    "signed_tenant", "writing_tenant", "still_there", "authenticate", "has_tenant_policy", "begin_generation",
)  # fmt: skip
"""The functions whose every condition is a guard."""
_CHECKS = ("NOT ateneo.model_is_open()",)
_NO_GUARDS = ("is_hidden",)
"""Lists that decide on plans: for which tables ANALYZE keeps texts, which the application may not read anyway."""


def of_file(path: str, source: str) -> Iterator[Mutant]:
    """Those of one function file."""
    text = _masked(source)
    marks = [(found.start(), found[1]) for found in _FUNCTION.finditer(text)]

    def mutant(kind: str, start: int, end: int, by: str) -> Mutant:
        place = next((name for at, name in reversed(marks) if at <= start), "-")
        return Mutant(kind, path, place, start, end, source[start:end], by)

    for start, end, by in _companies(text):
        yield mutant("company", start, end, by)
    for found in _TENANT.finditer(text):
        if not re.search(r"\bFUNCTION |USING \(", _line(text, found.start())[:200]):
            for by in _unchecked(found["call"], found["argument"]):
                yield mutant("tenant", *found.span(), by)
    for found in _REFUSAL.finditer(text):
        yield mutant("refusal", *found.span("it"), "false")
    for found in _STATEMENT.finditer(text):
        yield mutant("right", *found.span(), "")
    yield from (one for one in _conditions(text, mutant) if one.place in _CHECKING or one.text in _CHECKS)
    if path.endswith("protect.sql"):
        yield from (one for one in _rights(text, mutant) if one.place not in _NO_GUARDS)


def companies(path: str, source: str, places: Iterator[tuple[int, int, str]]) -> Iterator[Mutant]:
    """The conditions on the company in the SQL strings of a Python file, `places`: (start, end, function)."""
    for start, end, place in places:
        for first, last, by in _companies(source[start:end]):
            yield Mutant("company", path, place, start + first, start + last, source[start + first : start + last], by)


def _companies(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _COMPANY.finditer(text):
        yield *found.span("it"), "false" if re.search("<>|DISTINCT", found["it"]) else "true"


def _conditions(text, mutant) -> Iterator[Mutant]:  # type: ignore[no-untyped-def]
    for found in _CONDITION.finditer(text):
        if "empresa_id" not in found["it"]:
            off = re.match(r"OR\b|IF\b.*THEN RETURN", text[found.start() : found.end() + 20], re.S)
            yield mutant("condition", *found.span("it"), "false" if off else "true")


def _rights(text, mutant) -> Iterator[Mutant]:  # type: ignore[no-untyped-def]
    """protect.sql: entries of lists, decisions on rights, what is mended, clauses of policies."""
    for found in (*_LIST.finditer(text), *_ALTERNATIVES.finditer(text)):
        for part in re.finditer(r"[^,|\s]+", found[1]):
            start = found.start(1) + part.start()
            yield mutant("list entry", start, start + len(part[0]), _other_than(part[0], found[1]))
    for found in _WHEN.finditer(text):
        yield mutant("right", *found.span("it"), "false")
    for found in _NO_RIGHT.finditer(text):
        following = text[found.start() : text.find("UNION ALL", found.start())]
        table = "FROM relation" in following
        yield mutant("right", *found.span("it"), "'{SELECT,UPDATE}'" if table else "'{EXECUTE}'")
    for found in _RETURNED.finditer(text):
        yield mutant("policy", *found.span(), "NULL;")
    for found in re.finditer(r"(?:USING|WITH CHECK) \((?P<it>empresa_id = \(SELECT ateneo\.\w+\(\)\))\)", text):
        yield mutant("policy", *found.span("it"), "true")


def _other_than(entry: str, entries: str) -> str:
    """An entry that says nothing; of rights, one that is there already."""
    if entry.isupper():
        return next(one for one in entries.split(",") if one != entry)
    return "none_such"


def _unchecked(call: str, argument: str) -> Iterator[str]:
    """Whom the caller names, whether the setting says so, is signed, is there at all, or was erased."""
    yield argument or "nullif(current_setting('ateneo.empresa_id', true), '')"
    if "writing" in call:
        yield f"ateneo.tenant({argument})"


def _masked(source: str) -> str:
    """The text with spaces in place of comments."""
    return _COMMENT.sub(lambda found: " " * len(found[0]), source)


def _line(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : text.find("\n", at)]
