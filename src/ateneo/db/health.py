"""What an operator or a health check wants to know about the database."""

from dataclasses import dataclass

from ateneo.db.pool import Database


@dataclass(frozen=True, slots=True)
class Census:
    """Counts over the whole database, all companies together."""

    companies: int
    documents: int
    chunks: int
    pending: int
    empty: int
    words: int


async def versions(db: Database) -> tuple[str, str | None]:
    """PostgreSQL's version, and pgvector's (None where it is not installed)."""
    async with db.acquire() as connection:
        server = await connection.fetchval("SHOW server_version")
        extension = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    return str(server).split(" ")[0], extension


async def same_database(some: Database, other: Database) -> bool:
    """Whether both addresses lead to one database of one server, or of one that streams from it."""
    identity = (
        "SELECT current_database()::text, d.oid::bigint, n.oid::bigint FROM pg_database d"
        " LEFT JOIN pg_namespace n ON n.nspname = 'ateneo' WHERE d.datname = current_database()"
    )
    found = []
    for db in (some, other):
        async with db.acquire() as connection:
            found.append(await connection.fetchrow(identity))
    return found[0] == found[1]


async def census(db: Database) -> Census:
    async with db.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(DISTINCT empresa_id) FROM public.knowledge_chunks) AS companies,"
            " (SELECT count(*) FROM ateneo.document) AS documents,"
            " (SELECT count(*) FROM public.knowledge_chunks) AS chunks,"
            " (SELECT count(*) FROM public.knowledge_chunks WHERE embedding IS NULL"
            " AND length(contenido) > 10) AS pending,"
            " (SELECT count(*) FROM public.knowledge_chunks WHERE btrim(coalesce(contenido, '')) = '') AS empty,"
            " (SELECT count(*) FROM ateneo.chunk_lex) AS words"
        )
    assert row is not None
    return Census(**row)


@dataclass(frozen=True, slots=True)
class IndexFaults:
    """Chunks that the index does not hold as they are, over the whole database. `unindexed`: their words are missing,
    another text's or damaged; `orphans`: they are gone, and something derived from them is still there: `ateneo db
    upgrade` mends both. `unkeyed`: their key is too long for an index; `cut`: only the beginning of their text, or its
    most frequent words, can be looked up. `emptied`: documents without a chunk."""

    unindexed: int
    orphans: int
    unkeyed: int
    cut: int
    emptied: int


async def index_faults(db: Database) -> IndexFaults:
    async with db.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM ateneo.index_faults()")
    assert row is not None
    return IndexFaults(**row)


@dataclass(frozen=True, slots=True)
class WordsMissing:
    """A company with more chunks that have a text than the word index has of it."""

    empresa_id: str
    chunks: int
    words: int


async def words_missing(db: Database, limit: int = 5) -> list[WordsMissing]:
    """The companies that the word index lacks most of. Two counts and no look at a text, unlike `index_faults`."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT k.empresa_id, k.n AS chunks, coalesce(c.n, 0) AS words FROM (SELECT empresa_id, count(*) AS n"
            " FROM public.knowledge_chunks WHERE contenido IS NOT NULL AND ateneo.indexable_key(empresa_id, id)"
            " GROUP BY 1) k LEFT JOIN (SELECT empresa_id, count(*) AS n FROM ateneo.chunk_lex GROUP BY 1) c"
            " USING (empresa_id) WHERE k.n > coalesce(c.n, 0) ORDER BY k.n - coalesce(c.n, 0) DESC, 1 LIMIT $1",
            limit,
        )
    return [WordsMissing(**row) for row in rows]


async def guide_column(db: Database) -> str | None:
    """The type of `knowledge_chunks.embedding`: `vector`, or `vector(1536)` where its dimensions are fixed."""
    async with db.acquire() as connection:
        found: str | None = await connection.fetchval(
            "SELECT regexp_replace(format_type(atttypid, atttypmod), '^.*\\.', '') FROM pg_attribute"
            " WHERE attrelid = to_regclass('public.knowledge_chunks') AND attname = 'embedding' AND NOT attisdropped"
        )
    return found


async def indexed_vectors(db: Database, generation: int) -> int:
    """How many chunks of all companies have a vector in this generation."""
    async with db.acquire() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM ateneo.vec_g{generation:d}"))  # noqa: S608
