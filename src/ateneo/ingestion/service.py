"""Files in, searchable documents out: read, cut into chunks, embedded, and stored all at once or not at all."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import replace as replaced
from io import BytesIO
from typing import Any

import numpy as np

from ateneo.db import documents, originals, statistics, usage
from ateneo.db.chunks import content_hash, known_vectors
from ateneo.db.documents import NewDocument
from ateneo.db.identity import Arrival, Identity, arrive, next_arrival
from ateneo.db.pool import Database
from ateneo.db.usage import Bill
from ateneo.embedding.current_model import CurrentModel, Model, Models
from ateneo.embedding.queue import usual_batch_size, usual_concurrency
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, DocumentEmpty
from ateneo.i18n import tr
from ateneo.ingestion.file_bytes import file_bytes
from ateneo.ingestion.parsing.sandbox import locate_in_file, read_file
from ateneo.ingestion.progress import SILENT, Progress, Told
from ateneo.ingestion.upload import (
    LARGEST_PAGE,
    File,
    Upload,
    checked_empresa,
    cleaned,
    is_there,
    place_of,
    upload_of,
    uploaded,
)
from ateneo.text.clean import clean
from ateneo.types import Chunk, Document, MarkedPage, Matrix, Origin, ReadingReport, StoredDocument, Tenant


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
        ocr: bool = True,
    ) -> None:
        """`db`: a Database, or an asyncpg connection or pool; `max_bytes`: largest file; `timeout_s`: seconds that
        reading one may take; `ocr`: whether pages without text, and images, are read by OCR."""
        self.db = Database.wrap(db)
        models = Models.wrap(embedding)
        self.embedding = models.main
        self._current = CurrentModel(self.db, models)
        self._chunk_tokens = chunk_tokens
        self._chunk_overlap = chunk_overlap
        self.max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._ocr = ocr

    async def process_document(
        self,
        file: File,
        empresa_id: Tenant,
        *,
        name: str | None = None,
        document_id: object | None = None,
        external_id: str | None = None,
        origin: Origin | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
        force: bool = False,
        arrival: int | None = None,
    ) -> StoredDocument:
        """Stores a file as a document of the company. `file` is a path, bytes (with `name`), or an open binary file.

        Which document it is (docs/how-to/documents.md): the one of this `document_id`, or of this `external_id`, an id
        of the caller's own, or of this `origin`, for files of a folder. With none of them it is a new one, whatever its
        name and bytes; `replace` makes it the new version of the only document of that name.

        Its title and metadata are those sent last, None leaving them as they are. Bytes that it has already are not
        read again (status unchanged, or updated), unless `force`; a text that the company has already is never embedded
        again. Nothing is stored before everything is ready, and then all of it in one transaction, unless a later
        arrival was quicker (superseded); `arrival`: the number of `arrive`, for an upload that took its time. The
        metadata's `language` (text/language.py) is detected where it is not given. Where the company has spent its
        budget, the chunks are stored without vectors, and wait in the queue.

        Raises BadArgument, SeveralDocuments, the DocumentErrors, the ProviderErrors, GenerationMismatch and the other
        DatabaseErrors.
        """
        empresa_id = checked_empresa(empresa_id)
        who, upload = uploaded(
            file,
            name=name,
            document_id=document_id,
            external_id=external_id,
            origin=origin,
            title=title,
            metadata=metadata,
            replace=replace,
        )
        return await self._process(file, empresa_id, upload, who, force=force, arrival=arrival)

    async def replace_document(
        self,
        file: File,
        empresa_id: Tenant,
        document_id: str,
        *,
        name: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        arrival: int | None = None,
    ) -> StoredDocument:
        """A new version of a document that is there. Raises UnknownDocument, and what `process_document` raises."""
        empresa_id = checked_empresa(empresa_id)
        who, upload = uploaded(
            file, name=name, document_id=document_id, title=title, metadata=metadata, must_exist=True
        )
        return await self._process(file, empresa_id, upload, who, force=False, arrival=arrival)

    async def locate(
        self, file: File, quote: str, *, name: str | None = None, page: int | None = None
    ) -> tuple[MarkedPage, ...]:
        """Where a citation's quote stands in its PDF: the pages (two where the end of one divides it) with boxes.

        () where that is not sure: the quote stands nowhere as it is, or in several places, of `page` alone where it is
        given; and for files of other kinds. Raises BadArgument and the DocumentErrors.
        """
        source = upload_of(file, name, None, None, None).source
        data = await file_bytes(file, source, self.max_bytes)
        return await locate_in_file(data, source, quote, page, max_bytes=self.max_bytes, timeout_s=self._timeout_s)

    async def arrive(self, empresa_id: Tenant) -> int:
        """An upload's number in the order of arrivals: for one whose bytes take their time to come."""
        empresa_id = checked_empresa(empresa_id)
        return await next_arrival(self.db, empresa_id)

    async def _process(
        self, file: File, empresa_id: str, upload: Upload, who: Identity, *, force: bool, arrival: int | None
    ) -> StoredDocument:
        arrived = await arrive(self.db, empresa_id, who, arrival)
        if is_late(arrived):
            return superseded(arrived)
        data = await file_bytes(file, upload.source, self.max_bytes)
        digest = (await asyncio.to_thread(hashlib.sha256, data)).digest()
        stored = await self.process_upload(data, digest, empresa_id, upload, arrived, force=force)
        if stored.status != "superseded":
            await originals.keep(self.db, empresa_id, digest, len(data), BytesIO(data))
        return stored

    async def process_upload(
        self,
        data: bytes,
        digest: bytes,
        empresa_id: str,
        upload: Upload,
        arrived: Arrival,
        *,
        force: bool = False,
        progress: Progress = SILENT,
    ) -> StoredDocument:
        """Stores bytes that have arrived, `digest` their sha256; raises as `process_document`. Of an arrival that an
        earlier try has stored already it returns the document (status stored)."""
        empresa_id = checked_empresa(empresa_id)
        known = arrived.known
        if is_late(arrived):
            return superseded(arrived)
        if known is not None and known.arrival == arrived.number:
            return known.document
        if not force and (kept := await self.keep(empresa_id, upload, arrived, digest)) is not None:
            return kept
        title = upload.title or (known.given_title if known else None)
        progress.reading()
        document, chunks = await self._chunks(data, upload.source, title, progress)
        new = NewDocument(
            title=document.title,
            source=upload.source,
            mime=document.mime,
            content_hash=digest,
            bytes=len(data),
            pages=document.pages,
            metadata=cleaned(document.metadata),
            reading=ReadingReport.of(cleaned(asdict(document.reading))),
            identity=arrived.identity,
            given_title=upload.title,
            given=upload.metadata,
            folder=upload.folder,
            arrival=arrived.number,
            seen=known is not None,
        )
        model = await self._current.to_write()
        vectors, bill = await self._vectors(empresa_id, [one.contenido for one in chunks], model, progress)
        progress.storing()
        stored = await documents.save(self.db, empresa_id, new, chunks, vectors, model.generation.number, bill)
        await statistics.keep(self.db, empresa_id)
        return stored

    async def keep(self, empresa_id: str, upload: Upload, arrived: Arrival, digest: bytes) -> StoredDocument | None:
        """Where the document has these bytes: stores what else was sent (status unchanged, or updated). Else None."""
        empresa_id = checked_empresa(empresa_id)
        if arrived.known is None or not is_there(arrived.known, upload, digest):
            return None
        return await documents.keep(
            self.db, empresa_id, arrived, title=upload.title, given=upload.metadata, folder=upload.folder
        )

    async def _vectors(
        self, empresa_id: str, texts: list[str], model: Model, progress: Progress
    ) -> tuple[Matrix | None, Bill | None]:
        """The vectors (n, dims) and what they cost. A text that the company has a vector of is not sent again; where it
        has spent its budget the new ones are not sent at all: None, and the chunks wait in the queue."""
        hashes = [content_hash(text) for text in texts]
        known = await known_vectors(self.db, empresa_id, model.generation.number, list(set(hashes)))
        new = {digest: text for digest, text in zip(hashes, texts, strict=True) if digest not in known}
        progress.embedding(len(texts) - len(new), len(texts))
        bill = None
        if new:
            if await usage.own_over_budget(self.db, empresa_id):
                return None, None
            vectors, billed = await _embedded(model.embedding, list(new.values()), progress, len(texts))
            known |= dict(zip(new, vectors, strict=True))
            usd = billed * (model.embedding.price or 0.0) / 1e6
            share = usage.Share(len(new), billed, usd)
            bill = usage.Bill(model.embedding.provider, model.embedding.model, share)
        return np.stack([known[digest] for digest in hashes]), bill

    async def _chunks(
        self, data: bytes, source: str, title: str | None, progress: Progress
    ) -> tuple[Document, list[Chunk]]:
        document, chunks = await read_file(
            data,
            source,
            Told(self.embedding, progress),
            max_bytes=self.max_bytes,
            timeout_s=self._timeout_s,
            max_tokens=self._chunk_tokens,
            overlap=self._chunk_overlap,
            ocr=self._ocr,
        )
        if title:
            document = replaced(document, title=title)
        if not chunks:
            raise DocumentEmpty(name=source)
        return document, chunks

    async def list_documents(
        self, empresa_id: Tenant, *, limit: int = 100, after: str | None = None
    ) -> list[StoredDocument]:
        """A page of the company's documents in the order of their names; `after` is the `place` of the last seen."""
        empresa_id = checked_empresa(empresa_id)
        if not 1 <= limit <= LARGEST_PAGE:
            rule = tr(f"va de 1 a {LARGEST_PAGE}", f"it goes from 1 to {LARGEST_PAGE}")
            raise BadArgument(name="limit", value=limit, rule=rule)
        last = None if after is None else place_of(after)
        return await documents.list_documents(self.db, empresa_id, limit=limit, after=last)

    async def get_document(self, empresa_id: Tenant, document_id: str) -> StoredDocument:
        """Raises UnknownDocument where there is none."""
        empresa_id = checked_empresa(empresa_id)
        return await documents.get(self.db, empresa_id, clean(document_id))

    async def delete_document(self, empresa_id: Tenant, document_id: str) -> None:
        """Deletes the document, the chunks that were made of it and their vectors; not what other programs wrote under
        its id. Raises UnknownDocument where there is none."""
        empresa_id = checked_empresa(empresa_id)
        await documents.delete(self.db, empresa_id, clean(document_id))


async def _embedded(
    embedding: EmbeddingService, texts: list[str], progress: Progress, total: int
) -> tuple[Matrix, int]:
    """Vectors of the texts and the tokens billed; after each group it is told how many of `total` there are."""
    vectors: list[Matrix] = []
    billed, done, missing = 0, total - len(texts), texts
    group = usual_batch_size(embedding) * usual_concurrency(embedding, embedding.concurrency)
    while missing:
        embedded = await embedding.embed_matrix(missing[:group])
        vectors.append(embedded.vectors)
        billed, done, missing = billed + embedded.billed, done + len(embedded.vectors), missing[group:]
        progress.embedding(done, total)
    return np.concatenate(vectors), billed


def is_late(arrived: Arrival) -> bool:
    """Whether a later upload of the document was quicker."""
    return arrived.known is not None and arrived.known.arrival > arrived.number


def superseded(arrived: Arrival) -> StoredDocument:
    assert arrived.known is not None
    return replaced(arrived.known.document, status="superseded")
