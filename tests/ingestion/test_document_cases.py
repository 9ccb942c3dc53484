"""Small files that show faults which real documents showed (`documents`), and others of the same kinds (`kinds`): what
a chunk's lines must say, and what none may."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ateneo.ingestion.chunking import chunk
from ateneo.ingestion.parsing.parse import parse
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.types import Document

FILES = Path(__file__).parents[1] / "files"
CASES = [
    {**case, "file": f"{folder}/{case['file']}"}
    for folder in ("documents", "kinds")
    for case in json.loads((FILES / folder / "expected.json").read_text(encoding="utf-8"))
]


@lru_cache
def counter() -> LocalEmbedder:
    return LocalEmbedder(bundled_model_dir())


def lines(document: Document) -> Iterator[str]:
    for one in chunk(document, counter(), max_tokens=200, overlap=0):
        yield from one.contenido.split("\n")


def problems(case: dict[str, Any]) -> list[str]:
    path = FILES / case["file"]
    document = parse(path.read_bytes(), path.name, max_bytes=10**8)
    found = list(lines(document))
    text = "\n".join(found)
    wanted = [
        pattern for pattern in case["one_line_of_a_chunk_matches"] if not any(re.search(pattern, one) for one in found)
    ]
    refused = [pattern for pattern in case["no_line_matches"] if any(re.search(pattern, one) for one in found)]
    title = case.get("title_contains", "")
    often = case.get("at_most")
    return [
        *(f"no line: {pattern}" for pattern in wanted),
        *(f"a line: {pattern}" for pattern in refused),
        *([f"title: {document.title}"] if title not in document.title else []),
        *([f"too often: {often['text']}"] if often and text.count(often["text"]) > often["times"] else []),
    ]


@pytest.mark.parametrize("case", CASES, ids=[one["file"] for one in CASES])
def test_a_document_is_read_as_its_reader_reads_it(case: dict[str, Any]) -> None:
    assert problems(case) == []
