"""`make mutants`: each guard of the source switched off, one at a time, and the tests that must notice.

What was tried is kept in .mutants/, and tried again only where the file, or the tests, have changed.
"""

import argparse
import hashlib
import json
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tests.mutants.find import mutants
from tests.mutants.mutant import PACKAGE, ROOT, Mutant
from tests.mutants.workplace import Red, Workplace

HERE = Path(__file__).parent
KEPT = ROOT / ".mutants" / "tried.jsonl"
TIMEOUT_S = 300
"""After that nobody has noticed."""


@cache
def rules() -> list[dict[str, list[str]]]:
    return list(tomllib.loads((HERE / "tests.toml").read_text(encoding="utf-8"))["rule"])


@cache
def equivalent() -> dict[str, str]:
    """Mutants that no test can notice, each with the reason."""
    return dict(tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8")))


def noticed_by(mutant: Mutant) -> list[str]:
    """The tests that must notice it: those of the first rule that it fits."""
    named = f"{mutant.kind}:{mutant.path}:{mutant.place}"
    return next(rule["tests"] for rule in rules() if any(fnmatch(named, pattern) for pattern in rule["of"]))


def sampled(found: Sequence[Mutant], size: int) -> list[Mutant]:
    """The same ones as long as the source is the same: of each kind in turn, in the order of a hash."""
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for one in sorted(found, key=lambda one: hashlib.sha256(one.name.encode()).digest()):
        kinds[one.kind].append(one)
    ordered = sorted(
        ((turn, kind, one) for kind in kinds for turn, one in enumerate(kinds[kind])), key=lambda item: item[:2]
    )
    return [one for _, _, one in ordered[:size]]


def digest(mutant: Mutant) -> str:
    """Of the mutant, its file and its tests."""
    texts = [
        mutant.name,
        mutant.by,
        (PACKAGE / mutant.path).read_text(encoding="utf-8"),
        *map(_text, noticed_by(mutant)),
    ]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@cache
def _text(test: str) -> str:
    path = ROOT / test.partition("::")[0]
    return test + (path.read_text(encoding="utf-8") if path.is_file() else "")


def remembered() -> dict[str, str]:
    lines = KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else []
    return {one["digest"]: one["by"] for one in map(json.loads, lines)}


def attempt_all(chosen: Sequence[Mutant], known: dict[str, str]) -> tuple[dict[Mutant, str], list[str]]:
    """The test that noticed each, "" where none did; and what could not be tried, since its tests fail anyway."""
    red: list[str] = []
    digests = {one: digest(one) for one in chosen}  # of what the copy has: files may change meanwhile
    results = {one: known[digests[one]] for one in chosen if known.get(digests[one])}
    left = [one for one in chosen if one not in results]
    KEPT.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="ateneo-mutants-", ignore_cleanup_errors=True) as folder,
        KEPT.open("a") as kept,
    ):
        place = Workplace(Path(folder))
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("", total=len(left))
            for one in left:
                progress.update(task, description=one.name[:70])
                began = time.monotonic()
                progress.advance(task)
                try:
                    results[one] = place.attempt(one, noticed_by(one), TIMEOUT_S)
                except Red as error:
                    red.append(f"{error} fails without any mutant: {one.name}")
                    progress.console.print(red[-1], highlight=False, markup=False)
                    continue
                line = {
                    "digest": digests[one],
                    "name": one.name,
                    "by": results[one],
                    "s": round(time.monotonic() - began, 1),
                }
                kept.write(json.dumps(line, ensure_ascii=False) + "\n")
                kept.flush()
                if not results[one]:
                    progress.console.print(f"survived: {one.name}", highlight=False, markup=False)
        place.close()
    return results, red


def report(results: dict[Mutant, str]) -> None:
    """Killed of all by kind, and those that survived."""
    console = Console()
    table = Table("kind", "killed", "of", title="mutants")
    for kind in sorted({one.kind for one in results}):
        own = [by for one, by in results.items() if one.kind == kind]
        table.add_row(kind, str(sum(map(bool, own))), str(len(own)))
    table.add_row("all", str(sum(map(bool, results.values()))), str(len(results)), style="bold")
    console.print(table)
    for one, by in results.items():
        if not by:
            console.print(
                f"survived: {one.name} => {one.by} [{' '.join(noticed_by(one))}]",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "only", nargs="*", help="patterns of kind:path:function: text, such as '*:db/keys.py:'; all without"
    )
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="N of them, the same ones every time")
    parser.add_argument("--list", action="store_true", help="name them, try none")
    asked = parser.parse_args()
    found = [one for one in mutants() if one.name not in equivalent()]
    if asked.only:
        found = [
            one
            for one in found
            if any(fnmatch(f"{one.kind}:{one.path}:{one.place}: {one.text}", f"{pattern}*") for pattern in asked.only)
        ]
    if asked.list:
        Console().print("\n".join(one.name for one in found), highlight=False, markup=False, soft_wrap=True)
        return 0
    chosen = sampled(found, asked.sample) if asked.sample else found
    results, red = attempt_all(chosen, {} if asked.sample else remembered())
    report(results)
    for line in red:
        print(line)
    return int(bool(red) or not all(results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
