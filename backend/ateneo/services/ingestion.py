"""Files in, searchable documents out: read, cut into chunks, embedded, and stored all at once or not at all."""

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from inspect import isawaitable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ateneo.errors import BadArgument, DocumentEmpty, DocumentTooLarge
from ateneo.lang import tr
from ateneo.services.current_model import CurrentModel, Model, Models
from ateneo.services.embedding import EmbeddingService
from ateneo.services.tenant import tenant_id
from ateneo.store import documents, statistics, usage
from ateneo.store.chunks import content_hash, known_vectors
from ateneo.store.documents import NewDocument
from ateneo.store.pool import Database
from ateneo.store.usage import Bill
from ateneo.text.clean import clean
from ateneo.text.isolation import read_file
from ateneo.text.parsing import readable_size
from ateneo.types import Chunk, Document, Matrix, StoredDocument, Tenant

LONGEST_EMPRESA_ID = 200
LONGEST_NAME = 500
LARGEST_PAGE = 1000


class Readable(Protocol):
    """An open binary file, or what stands for one (starlette's UploadFile): `read(n)` gives bytes, or a promise."""

    def read(self, size: int, /) -> Any: ...


File = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


class IngestionService:
    """Safe under asyncio. Files are read by a few processes beside this one, which all services share."""

    def __init__(
        self,
        db: Any,
        embedding: EmbeddingService | Models,
        *,
        chunk_tokens: int = 200,
        chunk_overlap: int = 32,
        max_bytes: int = 50 * 1024 * 1024,
        timeout_s: float = 60.0,
    ) -> None:
        """`db`: a Database, or an asyncpg connection or pool; `max_bytes`: largest file; `timeout_s`: seconds that
        reading one may take."""
        self.db = Database.wrap(db)
        models = Models.wrap(embedding)
        self.embedding = models.main
        self._current = CurrentModel(self.db, models)
        self._chunk_tokens = chunk_tokens
        self._chunk_overlap = chunk_overlap
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def process_document(
        self,
        file: File,
        empresa_id: Tenant,
        *,
        name: str | None = None,
        document_id: object | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        force: bool = False,
    ) -> StoredDocument:
        """Stores a file as a document of the company. `file` is a path, bytes (with `name`), or an open binary file.

        `name` (by default the file's own, without its folder) is the document's source: other bytes under the same
        name replace it. Bytes that the company has already are not read again (status "unchanged"), unless `force`; a
        text that it has already is never embedded again. Nothing is stored before everything is ready, and then all of
        it in one transaction. The metadata's `language` (es, en, pt, unknown) is detected where it is not given. Where
        the company has spent its budget, the chunks are stored without vectors, and wait in the queue.

        Raises BadArgument, the DocumentErrors, the ProviderErrors, GenerationMismatch and the other DatabaseErrors.
        """
        empresa_id = checked_empresa(empresa_id)
        source = _name(file, name)
        given = checked_metadata(metadata)
        if document_id is not None:
            document_id = str(document_id)  # a table of the user's may keep it as uuid or number
            _check_text("document_id", document_id, LONGEST_NAME)
        data = await _read(file, source, self._max_bytes)
        digest = (await asyncio.to_thread(hashlib.sha256, data)).digest()
        same = await documents.find_unchanged(self.db, empresa_id, source, digest)
        if same is not None and not force and document_id in (None, same.document_id):
            return replace(same, status="unchanged")
        document, chunks = await self._chunks(data, source, title)
        new = NewDocument(
            title=document.title,
            source=source,
            mime=document.mime,
            content_hash=digest,
            bytes=len(data),
            pages=document.pages,
            metadata={**_cleaned(document.metadata), **given},
            document_id=document_id,
        )
        model = await self._current.to_write()
        vectors, bill = await self._vectors(empresa_id, [one.contenido for one in chunks], model)
        stored = await documents.save(self.db, empresa_id, new, chunks, vectors, model.generation.number, bill)
        await statistics.keep(self.db, empresa_id)
        return stored

    async def _vectors(self, empresa_id: str, texts: list[str], model: Model) -> tuple[Matrix | None, Bill | None]:
        """The vectors (n, dims) and what they cost. A text that the company has a vector of is not sent again; where it
        has spent its budget the new ones are not sent at all: None, and the chunks wait in the queue."""
        hashes = [content_hash(text) for text in texts]
        known = await known_vectors(self.db, empresa_id, model.generation.number, list(set(hashes)))
        new = {digest: text for digest, text in zip(hashes, texts, strict=True) if digest not in known}
        bill = None
        if new:
            if await usage.own_over_budget(self.db, empresa_id):
                return None, None
            embedded = await model.embedding.embed_matrix(list(new.values()))
            known |= dict(zip(new, embedded.vectors, strict=True))
            usd = embedded.billed * (model.embedding.price or 0.0) / 1e6
            share = usage.Share(len(new), embedded.billed, usd)
            bill = usage.Bill(model.embedding.provider, model.embedding.model, share)
        return np.stack([known[digest] for digest in hashes]), bill

    async def _chunks(self, data: bytes, source: str, title: str | None) -> tuple[Document, list[Chunk]]:
        document, chunks = await read_file(
            data,
            source,
            self.embedding,
            max_bytes=self._max_bytes,
            timeout_s=self._timeout_s,
            max_tokens=self._chunk_tokens,
            overlap=self._chunk_overlap,
        )
        if title and title.strip():
            document = replace(document, title=clean(title).strip())
        if not chunks:
            raise DocumentEmpty(name=source)
        return document, chunks

    async def list_documents(
        self, empresa_id: Tenant, *, limit: int = 100, after: str | None = None
    ) -> list[StoredDocument]:
        """A page of the company's documents in the order of their sources; `after` is the last source seen."""
        empresa_id = checked_empresa(empresa_id)
        if not 1 <= limit <= LARGEST_PAGE:
            rule = tr(f"va de 1 a {LARGEST_PAGE}", f"it goes from 1 to {LARGEST_PAGE}")
            raise BadArgument(name="limit", value=limit, rule=rule)
        return await documents.list_documents(
            self.db, empresa_id, limit=limit, after=None if after is None else clean(after)
        )

    async def delete_document(self, empresa_id: Tenant, document_id: str) -> None:
        """Deletes the document, its chunks and their vectors. Raises UnknownDocument where there is none."""
        empresa_id = checked_empresa(empresa_id)
        await documents.delete(self.db, empresa_id, clean(document_id))


# --- arguments ----------------------------------------------------------------------------------------------------


def checked_empresa(empresa_id: Tenant) -> str:
    """The id as text. Raises BadArgument for what cannot name a company: see `tenant_id`; 200 characters at most."""
    text = tenant_id(empresa_id)
    _check_text("empresa_id", text, LONGEST_EMPRESA_ID)
    return text


def _check_text(name: str, value: object, longest: int) -> None:
    good = isinstance(value, str) and value.strip() and len(value) <= longest and clean(value) == value
    if not good:
        rule = tr(
            f"tiene que ser un texto de 1 a {longest} caracteres, sin NUL",
            f"it must be a text of 1 to {longest} characters, without NUL",
        )
        raise BadArgument(name=name, value=repr(value)[:40], rule=rule)


def _name(file: File, name: str | None) -> str:
    if name is None and isinstance(file, (str, os.PathLike)):
        name = Path(file).name
    elif name is None and not isinstance(file, (bytes, bytearray, memoryview)):
        known = getattr(file, "filename", None) or getattr(file, "name", None)
        name = Path(known).name if isinstance(known, str) else None
    if name is None:
        rule = tr("hace falta: estos bytes no traen nombre", "it is needed: these bytes bring no name")
        raise BadArgument(name="name", value=None, rule=rule)
    name = clean(name)
    _check_text("name", name, LONGEST_NAME)
    return name


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        rule = tr("tiene que poder escribirse como JSON", "it must be possible to write it as JSON")
        raise BadArgument(name="metadata", value=repr(metadata)[:40], rule=rule) from error
    return _cleaned(metadata or {})


def _cleaned(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {clean(str(key)): _cleaned_value(value) for key, value in metadata.items()}


def _cleaned_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return _cleaned(value)
    return [_cleaned_value(one) for one in value] if isinstance(value, (list, tuple)) else value


# --- reading ------------------------------------------------------------------------------------------------------


async def _read(file: File, name: str, max_bytes: int) -> bytes:
    """All bytes of the file, of which no more than `max_bytes` + 1 are ever held. Raises DocumentTooLarge."""
    if isinstance(file, (str, os.PathLike)):
        data = await asyncio.to_thread(_read_path, Path(file), name, max_bytes)
    elif isinstance(file, (bytes, bytearray, memoryview)):
        data = bytes(file)
    else:
        data = await _read_open(file, max_bytes)
    if len(data) > max_bytes:
        raise DocumentTooLarge(name=name, size=readable_size(len(data), least=True), limit=readable_size(max_bytes))
    return data


def _read_path(path: Path, name: str, max_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DocumentTooLarge(name=name, size=readable_size(size), limit=readable_size(max_bytes))
        with path.open("rb") as opened:
            return opened.read(max_bytes + 1)
    except OSError as error:
        rule = tr(f"no se puede leer ({error.strerror})", f"it cannot be read ({error.strerror})")
        raise BadArgument(name="file", value=str(path), rule=rule) from error


async def _read_open(file: Readable, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    missing = max_bytes + 1
    while missing > 0:
        part = await asyncio.to_thread(file.read, missing)
        part = await part if isawaitable(part) else part
        if not isinstance(part, bytes):
            rule = tr("tiene que estar abierto en modo binario", "it must be open in binary mode")
            raise BadArgument(name="file", value=type(file).__name__, rule=rule)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
