"""Tables that other libraries made: found by their columns, with the mapping that fits how the library fills them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ateneo.db import foreign_stores
from ateneo.db import sources as store
from ateneo.db.pool import Database
from ateneo.errors import BadArgument, Unknown
from ateneo.i18n import tr
from ateneo.sources import proposal
from ateneo.types.sources import PARENT, Parent, SourceMapping, TableFacts

_TITLES = ("title", "titulo", "file_name", "filename", "name", "source")
_NOTHING = (None, "", "None")
"""What LlamaIndex writes where a node is of no document, too."""


@dataclass(frozen=True, slots=True)
class PresetDraft:
    """What a preset proposes. `parent`: the table that the mapping names as such; `node` as in SourceDraft."""

    mapping: SourceMapping
    facts: TableFacts
    parent: TableFacts | None = None
    node: str | None = None


_SHAPES = {
    "langchain": (
        ("collection_id", "embedding", "document", "cmetadata"),
        ("langchain_id", "content", "embedding"),
    ),
    "llamaindex": (("id", "text", "metadata_", "node_id", "embedding"),),
    "supabase": (("id", "content", "metadata", "embedding"),),
    "pgai": (("embedding_uuid", "chunk_seq", "chunk", "embedding"),),
    "r2r": (("id", "document_id", "owner_id", "collection_ids", "vec", "text", "metadata"),),
}
"""The columns that a library's tables are known by."""
KINDS = tuple(_SHAPES)


async def proposed(db: Database, kind: str, table: str | None, collection: str | None = None) -> PresetDraft:
    """Raises BadArgument where several tables are of this kind, or it has no collections; Unknown where none is."""
    relation = table or await _only_table(db, kind)
    facts = await store.table_facts(db, relation)
    names = {one.name for one in facts.columns}
    if not any(set(one) <= names for one in _SHAPES[kind]):
        wanted = tr(" o ", " or ").join(", ".join(one) for one in _SHAPES[kind])
        rule = tr(f"no tiene las columnas de {kind}: {wanted}", f"it has not the columns of {kind}: {wanted}")
        raise BadArgument(name="table", value=relation, rule=rule)
    if collection is not None and "collection_id" not in names:
        rule = tr("esta tabla no tiene colecciones", "this table has no collections")
        raise BadArgument(name="--collection", value=collection, rule=rule)
    if kind == "langchain" and "collection_id" in names:
        return await _langchain_collections(db, facts, collection)
    return await {
        "langchain": _langchain_table,
        "llamaindex": _llamaindex,
        "supabase": _supabase,
        "pgai": _pgai,
        "r2r": _r2r,
    }[kind](db, facts)


async def _only_table(db: Database, kind: str) -> str:
    found = [one for shape in _SHAPES[kind] for one in await foreign_stores.tables_with(db, shape)]
    if not found:
        raise Unknown(what=tr(f"una tabla de {kind}", f"a table of {kind}"))
    if len(found) > 1:
        rule = tr(f"hay varias, decí cuál: {', '.join(found)}", f"there are several, say which: {', '.join(found)}")
        raise BadArgument(name="table", value=kind, rule=rule)
    return found[0]


async def _langchain_collections(db: Database, facts: TableFacts, collection: str | None) -> PresetDraft:
    """langchain_pg_embedding, of one collection or of all."""
    samples = await foreign_stores.json_samples(db, facts.relation, "cmetadata")
    there = await store.table_facts(db, _beside(facts, "langchain_pg_collection"))
    tenant = _tenant(samples, "cmetadata")
    condition = None
    if collection is not None:
        condition = f"\"collection_id\" = '{await foreign_stores.collection_id(db, there.relation, collection)}'"
    elif tenant is None:
        tenant = f"{PARENT}name"
    mapping = SourceMapping(
        key=facts.key,
        text=("document",),
        tenant=tenant,
        title=_title(samples, "cmetadata"),
        metadata=("cmetadata->*",),
        condition=condition,
        vector="embedding",
        parent=Parent(there.relation, {"collection_id": "uuid"}),
    )
    return PresetDraft(mapping, facts, there)


async def _langchain_table(db: Database, facts: TableFacts) -> PresetDraft:
    """A table of PGVectorStore: its metadata stand in columns, and what has none in langchain_metadata."""
    return await _plain(db, facts, text="content", vector="embedding", column="langchain_metadata")


async def _supabase(db: Database, facts: TableFacts) -> PresetDraft:
    return await _plain(db, facts, text="content", vector="embedding", column="metadata")


async def _llamaindex(db: Database, facts: TableFacts) -> PresetDraft:
    """Nodes of one document are joined, in the order in which they were written."""
    samples = await foreign_stores.json_samples(db, facts.relation, "metadata_")
    grouped = bool(samples) and all(one.get("ref_doc_id") not in _NOTHING for one in samples)
    mapping = SourceMapping(
        key=facts.key,
        text=("text",),
        tenant=_tenant(samples, "metadata_"),
        title=_title(samples, "metadata_"),
        document="metadata_->>ref_doc_id" if grouped else None,
        position="id" if grouped else None,
        metadata=("metadata_->*",),
        vector="embedding",
    )
    return PresetDraft(mapping, facts, node="metadata_->>_node_content")


async def _r2r(db: Database, facts: TableFacts) -> PresetDraft:
    documents = await store.table_facts(db, _beside(facts, "documents"))
    mapping = SourceMapping(
        key=facts.key,
        text=("text",),
        tenant="owner_id",
        title=f"{PARENT}title",
        document="document_id",
        position="metadata->>chunk_order",
        metadata=("metadata->*",),
        vector="vec",
        parent=Parent(documents.relation, {"document_id": "id"}),
    )
    return PresetDraft(mapping, facts, documents)


async def _pgai(db: Database, facts: TableFacts) -> PresetDraft:
    """A store of vectors, with the table that they were made of, whose key its rows repeat."""
    origin = await foreign_stores.vectorized(db, facts.relation)
    there = await store.table_facts(db, origin or _beside(facts, facts.name.removesuffix("_embedding_store")))
    guess = proposal.proposed(there)
    mapping = SourceMapping(
        key=facts.key,
        text=("chunk",),
        tenant=_of_parent(guess.tenant),
        title=_of_parent(guess.title),
        document=there.key[0] if len(there.key) == 1 else None,
        position="chunk_seq" if len(there.key) == 1 else None,
        metadata=tuple(f"{PARENT}{one}" for one in guess.metadata),
        condition=guess.condition and foreign_stores.condition_on_parent(there, guess.condition),
        vector="embedding",
        parent=Parent(there.relation, {one: one for one in there.key}),
    )
    return PresetDraft(mapping, facts, there)


async def _plain(db: Database, facts: TableFacts, *, text: str, vector: str, column: str) -> PresetDraft:
    """A row a text, its metadata in a JSON object beside the columns that tell something."""
    has_json = any(one.name == column and one.kind in ("json", "jsonb") for one in facts.columns)
    samples = await foreign_stores.json_samples(db, facts.relation, column) if has_json else []
    guess = proposal.proposed(facts)
    mapping = replace(
        guess,
        text=(text,),
        tenant=guess.tenant or _tenant(samples, column),
        title=guess.title or _title(samples, column),
        metadata=(*guess.metadata, f"{column}->*") if has_json else guess.metadata,
        vector=vector,
    )
    return PresetDraft(mapping, facts)


def _tenant(samples: Sequence[Mapping[str, Any]], column: str) -> str | None:
    """The key that tells the company in every object."""
    everywhere = set.intersection(*(set(one) for one in samples)) if samples else set()
    found = proposal.tenant_name(everywhere)
    return f"{column}->>{found}" if found else None


def _title(samples: Sequence[Mapping[str, Any]], column: str) -> str | None:
    found = (one for one in _TITLES if any(isinstance(sample.get(one), str) for sample in samples))
    return next((f"{column}->>{one}" for one in found), None)


def _of_parent(column: str | None) -> str | None:
    return None if column is None else f"{PARENT}{column}"


def _beside(facts: TableFacts, name: str) -> str:
    """A table in the same schema. `relation` is quoted already, and ends in the table's own name."""
    quoted = '"' + facts.name.replace('"', '""') + '"'
    own = quoted if facts.relation.endswith(quoted) else facts.name
    return facts.relation.removesuffix(own) + '"' + name.replace('"', '""') + '"'
