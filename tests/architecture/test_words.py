"""Code, tests and pages use the field's words; what was said in a private language has a plain name."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".md", ".sql", ".toml", ".yml"}
HISTORY = re.compile(r"^CHANGELOG\.md|/sql/migrations/|^tests/architecture/test_words\.py")
"""Not read: what was said then, migrations, which are frozen, and this list."""

INSTEAD = {
    r"houses?": "container, package",
    r"faces?": "interface, endpoint",
    r"doors?": "entry point, interface, API",
    r"(for|the|an?|its|own|each|every|other|\w+'s) rooms?(?! for| of| in the)": "package, router",
    r"(in|one|own|two|four|other|whose|their|\w+'s|of) hands(?! (it|them|over|on))|by one hand": "lock, owner",
    r"hands =|change[sd]? hands": "concurrency, owner",
    r"(a|the|those|every|each) letters?('s| (that|which|is|are|waits?|in the queue))": "dead letter",
    r"(?-i:_letters(?=\())": "dead letter",
    r"presence": "heartbeat",
    r"trails?": "audit log",
    r"killers?|(text|chunk|row|one)s? that kills?": "text that crashes a worker",
    r"kept(_| )quer(y|ies)": "query log",
    r"(the|adopted|our|their|user's|guide's|whole) records?(?! of)|in a record whose": "chunks table",
    r"walls?(?!-clock| clock| time)": "isolation",
    r"paces?": "rate limit",
    r"end of a company|company's end": "erasing a company",
}
ALLOWED = re.compile(
    r"ateneo\.kept_query|0016_kept_queries|12[56]_\w+_doors|record\.sql|asyncpg\.Record|Hugging Face"
    r"|park_killers|ateneo\.(is_application_door|keep_trail)|ateneo_keep_(whole_)?trail"
)
"""Names in databases, which the last release calls, and in libraries."""

BREAK = r"(?:\s|#|--)+"
"""Between two words, also at the end of a line of a comment."""


def _read() -> list[Path]:
    run = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in run.stdout.splitlines() if not HISTORY.search(name)]
    return [ROOT / name for name in names if Path(name).suffix in SUFFIXES and (ROOT / name).is_file()]


def _found(text: str) -> list[str]:
    text = ALLOWED.sub("", text)
    return [
        f"{text.count(chr(10), 0, match.start()) + 1}: {match[0]} -> {instead}"
        for word, instead in INSTEAD.items()
        for match in re.finditer(rf"(?<![a-zñ])({word.replace(' ', BREAK)})(?![a-zñ])", text, re.IGNORECASE)
    ]


def _folder(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


FOLDERS = sorted({_folder(path) for path in _read()})


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_private_words(folder: str) -> None:
    files = [path for path in _read() if _folder(path) == folder]
    found = {str(path.relative_to(ROOT)): _found(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "the house", "def _door(", "for room in rooms", "in the worker's hands", "hands = 4", "a letter's state",
        "await _letters(db)", "presence", "keep the trail", "killers", "a text that kills it", "kept queries",
        "an adopted record", "through the\n# record", "the wall", "a key's pace", "the end of a company",
    ],
)  # fmt: skip
def test_it_finds(text: str) -> None:
    assert _found(text) != []


def test_it_leaves_plain_english_alone() -> None:
    text = "at hand, by hand, in hand; words of five letters; dead letters; room for more; system of record; wall clock"
    assert _found(text) == []
