"""Texts in and out of the chunks table one by one, as the vector stores of other libraries keep them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ateneo.db import passages, statistics
from ateneo.db import texts as store
from ateneo.db.documents import PAGE_BREAKS
from ateneo.db.pool import Database
from ateneo.db.texts import NewText
from ateneo.embedding.current_model import CurrentModel, Models
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.i18n import number, tr
from ateneo.ingestion.upload import checked_empresa, checked_metadata
from ateneo.text.clean import clean
from ateneo.types import StoredPassage, Tenant

AT_ONCE = 500
"""Texts a transaction."""
LONGEST_ID = 500


class TextService:
    """Each text is a chunk of `knowledge_chunks` without a document; a long one is not cut up."""

    def __init__(self, db: Any, embedding: EmbeddingService | Models) -> None:
        """`db`: a Database, or an asyncpg connection or pool."""
        self.db = Database.wrap(db)
        models = Models.wrap(embedding)
        self.embedding = models.main
        self._current = CurrentModel(self.db, models)

    async def add(
        self,
        empresa_id: Tenant,
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]] | None = None,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Embeds and stores the texts, 500 a transaction; returns their ids, new ones where none is given.

        A text under an id that the company has replaces it, and its metadata; of two with one id the last stays.
        Raises BadArgument, ProviderError, GenerationMismatch and the other DatabaseErrors.
        """
        empresa_id = checked_empresa(empresa_id)
        count = len(texts)
        metadata = [_metadata(one) for one in _paired("metadatas", metadatas, count)]
        chosen = [_id(one) for one in _paired("ids", ids, count)]
        for start in range(0, count, AT_ONCE):
            batch = slice(start, start + AT_ONCE)
            await self._add(empresa_id, texts[batch], metadata[batch], chosen[batch])
        if count:
            await statistics.keep(self.db, empresa_id)
        return chosen

    async def get(self, empresa_id: Tenant, ids: Sequence[str]) -> list[StoredPassage]:
        """The company's chunks among `ids`, in that order; those that it has not are left out."""
        empresa_id = checked_empresa(empresa_id)
        return await passages.by_ids(self.db, empresa_id, [clean(one) for one in ids])

    async def delete(self, empresa_id: Tenant, ids: Sequence[str]) -> int:
        """Deletes the company's chunks among `ids`. Returns how many there were."""
        empresa_id = checked_empresa(empresa_id)
        gone = await store.delete(self.db, empresa_id, [clean(one) for one in ids])
        if gone:
            await statistics.keep(self.db, empresa_id)
        return gone

    async def _add(
        self, empresa_id: str, texts: Sequence[str], metadata: Sequence[Mapping[str, Any]], ids: Sequence[str]
    ) -> None:
        model = await self._current.to_write()
        embedded = await model.embedding.embed_matrix(texts)
        # of two texts with one id the last counts, as if they had come one after the other
        last = list({one: at for at, one in enumerate(ids)}.values())
        new = [NewText(ids[at], clean(texts[at]), embedded.tokens[at], metadata[at]) for at in last]
        await store.save(self.db, empresa_id, new, embedded.vectors[last], model.generation.number)


def _paired(name: str, values: Sequence[Any] | None, count: int) -> Sequence[Any]:
    if values is None:
        return [None] * count
    if len(values) != count:
        rule = tr(f"tienen que ser {count}, uno por texto", f"there must be {count}, one for each text")
        raise BadArgument(name=name, value=len(values), rule=rule)
    return values


def _metadata(given: Mapping[str, Any] | None) -> dict[str, Any]:
    checked = checked_metadata(given)
    if PAGE_BREAKS in checked:
        rule = tr(f"no puede tener {PAGE_BREAKS}, que es de Ateneo", f"it cannot have {PAGE_BREAKS}, which is Ateneo's")
        raise BadArgument(name="metadatas", value=repr(given)[:40], rule=rule)
    return checked


def _id(given: object) -> str:
    if given is None:
        return str(uuid.uuid4())
    text = given if isinstance(given, str) else ""
    if not text.strip() or len(text) > LONGEST_ID or clean(text) != text:
        rule = tr(
            f"son de 1 a {number(LONGEST_ID)} caracteres, sin NUL",
            f"it takes 1 to {number(LONGEST_ID)} characters, without NUL",
        )
        raise BadArgument(name="ids", value=repr(given)[:40], rule=rule)
    return text
