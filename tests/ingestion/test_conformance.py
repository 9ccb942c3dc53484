"""Nothing is dropped: of every file the words of a plain reading, not ours, stand in its chunks, 99 of a hundred."""

from pathlib import Path

import pytest
from tests.files.reference import LEFT_OUT, ROOT, files, reference, words
from tests.ingestion.test_document_cases import counter

from ateneo.ingestion.chunking import chunk
from ateneo.ingestion.parsing.parse import parse

LEAST_SHARE = 0.99


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_words_of_a_file_stand_in_its_chunks(path: Path) -> None:
    document = parse(path.read_bytes(), path.name, max_bytes=10**8)
    texts = [one.contenido for one in chunk(document, counter(), max_tokens=200, overlap=0)]
    wanted = words(reference(path)) - words(LEFT_OUT.get(path.name, ""))
    lost = wanted - words("\n".join([document.title, *map(str, document.metadata.values()), *texts]))
    assert lost.total() <= (1 - LEAST_SHARE) * wanted.total(), sorted(lost)
