"""What an operator or a health check wants to know about the database."""

from dataclasses import dataclass

from ateneo.store.pool import Database


@dataclass(frozen=True, slots=True)
class Census:
    """Counts over the whole database, all companies together."""

    companies: int
    documents: int
    chunks: int
    pending: int
    words: int


async def versions(db: Database) -> tuple[str, str | None]:
    """PostgreSQL's version, and pgvector's (None where it is not installed)."""
    async with db.acquire() as connection:
        server = await connection.fetchval("SHOW server_version")
        extension = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    return str(server).split(" ")[0], extension


async def census(db: Database) -> Census:
    async with db.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT count(DISTINCT empresa_id) FROM public.knowledge_chunks) AS companies,"
            " (SELECT count(*) FROM ateneo.document) AS documents,"
            " (SELECT count(*) FROM public.knowledge_chunks) AS chunks,"
            " (SELECT count(*) FROM public.knowledge_chunks WHERE embedding IS NULL AND length(contenido) > 10) AS pending,"
            " (SELECT count(*) FROM ateneo.chunk_lex) AS words"
        )
    assert row is not None
    return Census(**row)


async def guide_column(db: Database) -> str | None:
    """The type of `knowledge_chunks.embedding` where its dimensions are fixed, as in vector(1536); else None."""
    async with db.acquire() as connection:
        return await connection.fetchval(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass('public.knowledge_chunks') AND attname = 'embedding' AND atttypmod > 0"
        )


async def stored_dimensions(db: Database) -> list[int]:
    """The different dimensions of the vectors in the guide's column, among a sample of 1,000."""
    async with db.acquire() as connection:
        schema = await connection.fetchval(
            "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'vector'"
        )
        rows = await connection.fetch(
            f"SELECT DISTINCT {schema}.vector_dims(embedding) AS dims FROM"  # noqa: S608
            " (SELECT embedding FROM public.knowledge_chunks WHERE embedding IS NOT NULL LIMIT 1000) sample ORDER BY 1"
        )
    return [row["dims"] for row in rows]
