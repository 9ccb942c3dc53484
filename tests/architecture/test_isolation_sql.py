"""Every statement of the store calls functions, which act for the company that is set, but for the operator's own.

The list below is the whole of what runs outside of a company's transaction. To add to it is to say: this is for whoever
operates the database, no request of a company reaches it, or it tells nothing of any.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

STORE = Path(__file__).parents[2] / "src" / "ateneo" / "db"
TABLES = re.compile(
    r"public\.knowledge_chunks|\bFROM knowledge_chunks"
    r"|ateneo\.(?!empresa_id\b|generation\b|applied\b|schema_version\b|function_file\b|worker\b)[a-z_]+\b(?![(:])"
)
OPERATORS = {
    "adopt",
    "locks",
    "migrate",
    "queue",
    "rebuild",
    "rights",
    "source_rows",
    "sources",
    "uninstall",
    "versions",
}
"""Modules that are the operator's and the worker's alone."""
ON_A_CONNECTION = {"keys": ["_insert"], "usage": ["charge"]}
"""Functions that work on a connection of those that OUTSIDE lists."""
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|TRUNCATE)\b")
OUTSIDE = {
    # what became of a transaction; the first line after an erasure
    "audit": ["_committed", "note_erasure"],
    # the backfill's, over all companies, and one bit
    "chunks": ["any_embedding", "count_pending", "count_skipped", "pending_page", "store_embeddings", "texts_to_embed"],
    # the operator's
    "empresas": ["erase", "listed", "remaining"],
    # the worker's
    "jobs": ["claim", "forget", "settle_dead"],
    # models, of no company
    "generations": [
        "activate",
        "all_generations",
        "begin",
        "column_dims",
        "create",
        "forget",
        "is_open",
        "retire_empty",
        "searchable",
    ],
    # doctor
    "health": [
        "census",
        "guide_column",
        "index_faults",
        "indexed_vectors",
        "same_database",
        "versions",
        "words_missing",
    ],
    # upkeep
    "indexes": [
        "_watch",
        "alone",
        "carry_out",
        "companies",
        "indexed",
        "outgrown",
        "parts",
        "plan",
        "reindex_words",
        "set_aside",
        "vacuum",
    ],
    # who asks is not known yet; the operator's
    "keys": ["by_digest", "create", "list_keys", "revoke", "rotate"],
    # dead letters: the operator's
    "dead_letters": ["_change", "_dead_letters", "chunks_by_company", "depths", "figures"],
    # upgrade
    "migrate": ["_upgrade", "chunks_table", "plan", "reconcile", "rights_missing"],
    "uninstall": ["_uninstall", "plan"],
    "locks": ["_busy"],
    # of the schema, of no company
    "versions": ["check"],
    # the worker's
    "queue": [
        "_change",
        "claim",
        "fill",
        "leased",
        "listening",
        "mark_dead",
        "mark_fatal",
        "release_all",
        "still_leased",
        "store",
    ],
    # upkeep
    "rebuild": ["begin", "companies", "end", "page", "resettle", "reweigh", "row", "size", "unfinished"],
    # upkeep
    "recall": ["keep_ef_search", "measure", "sample_vectors"],
    # a database of a measurement's own
    "scratch": ["_create", "insert_passages", "scratch_database", "stored_texts"],
    # the one look at a new pool, and locks, which are of no company
    "connection": ["open_pool"],
    "advisory_lock": ["locked"],
    # for the comparison of two models: the operator's
    "kept_answers": ["forget_expired"],
    "query_log": ["forget_expired", "sample"],
    # whether the login is the owner's
    "rights": ["has_the_owners_login"],
    # ateneo.search sets and checks the tenant itself
    "search": ["search", "vector_schema"],
    # the operator's tables as sources: adding them, and the worker that reads them
    "foreign_stores": ["collection_id", "json_samples", "tables_with", "vectorized"],
    "source_rows": ["alone"],
    "sources": [
        "_made",
        "_without_company",
        "attempt",
        "check",
        "compare",
        "keep_own_vectors",
        "lacking",
        "note_error",
        "poll_from",
        "remove",
        "sources",
        "table_facts",
        "unfollow",
    ],
    # upkeep
    "statistics": ["refresh", "refresh_moved", "stale"],
    # the change of the model: the operator's
    "switch": [
        "disk",
        "drop",
        "filled",
        "mark_column",
        "missing_texts",
        "refill_page",
        "retire",
        "sample_chunks",
        "settled",
        "under_way",
        "undropped",
    ],
    # the operator's
    "tenant_secret": ["is_signed", "store_secret"],
    # the worker's and the operator's
    "usage": ["budgets", "charge_now", "month", "over_budget", "set_budget"],
    # the worker's
    "workers": ["alive", "leave", "report"],
}


def functions() -> Iterator[tuple[str, str, ast.AST]]:
    for path in sorted(STORE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path.stem, node.name, node


def opens_unbound(node: ast.AST) -> bool:
    """Whether it takes a connection, or a transaction, that is of no company."""
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("acquire", "transaction", "session")
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id not in ("connection", "self")
        for call in ast.walk(node)
    )


def statements(node: ast.AST) -> Iterator[str]:
    """Every SQL text in it; pieces that are put together count as one."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            text = "".join(str(piece.value) if isinstance(piece, ast.Constant) else "{}" for piece in part.values)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            text = part.value
        else:
            continue
        if STATEMENT.search(text) and TABLES.search(text):
            yield text


def test_what_is_of_no_company_is_on_the_list() -> None:
    unbound = {(module, name) for module, name, node in functions() if opens_unbound(node)}
    listed = {(module, name) for module, names in OUTSIDE.items() for name in names}
    assert unbound - listed == set(), "use db.tenant(empresa_id), or put it on the list with good reason"
    assert listed - unbound == set(), "no longer so: take it off the list"


def _passed(module: str, tree: ast.AST) -> set[int]:
    """The nodes of the lists' functions, which may name tables, and pieces of a longer text."""
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in (
            *OUTSIDE.get(module, ()),
            *ON_A_CONNECTION.get(module, ()),
        ):
            passed |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            passed |= {id(piece) for piece in node.values}
    return passed


def test_the_application_names_functions_and_no_table() -> None:
    """What is not on the lists runs as the application's role, which has no right on a table that has company rows."""
    for path in sorted(STORE.glob("*.py")):
        if path.stem in OPERATORS:
            continue
        tree = ast.parse(path.read_text())
        passed = _passed(path.stem, tree)
        for node in ast.walk(tree):
            if id(node) not in passed and isinstance(node, ast.Constant | ast.JoinedStr):
                named = list(statements(node))
                assert not named, f"{path.name}: {named}: a function of db/sql/functions does it (ateneo.own_...)"
