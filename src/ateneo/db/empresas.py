"""Companies as a whole: which there are, and the end of one. For the owner's role."""

from dataclasses import dataclass

from ateneo.db.pool import Database
from ateneo.errors import UnknownEmpresa


@dataclass(frozen=True, slots=True)
class Empresa:
    """What there is of a company; `keys` are those that still hold."""

    empresa_id: str
    chunks: int
    documents: int
    keys: int


async def listed(db: Database) -> list[Empresa]:
    """Every company with chunks, documents or keys, by its id."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT empresa_id::text, sum(chunks)::bigint AS chunks, sum(documents)::bigint AS documents,"
            " sum(keys)::bigint AS keys FROM ("
            " SELECT empresa_id, count(*) AS chunks, 0 AS documents, 0 AS keys FROM public.knowledge_chunks GROUP BY 1"
            " UNION ALL SELECT empresa_id, 0, count(*), 0 FROM ateneo.document GROUP BY 1"
            " UNION ALL SELECT empresa_id, 0, 0, count(*) FILTER (WHERE revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > now())) FROM ateneo.api_key GROUP BY 1) parts"
            " GROUP BY 1 ORDER BY 1"
        )
    return [Empresa(**row) for row in rows]


async def erase(db: Database, empresa_id: str) -> dict[str, int]:
    """Deletes everything of the company, in all tables that have an empresa_id, and its indexes. Returns rows by table.

    First its keys end and new writes of it are refused, then what is under way is waited for. Other programs that
    write the chunks table themselves are not held back. Raises UnknownEmpresa where there is nothing of it.
    """
    if not await remaining(db, empresa_id):
        raise UnknownEmpresa(empresa_id=empresa_id)
    async with db.transaction() as connection:
        await connection.execute(
            "INSERT INTO ateneo.erased (empresa_id) VALUES ($1)"
            " ON CONFLICT (empresa_id) DO UPDATE SET erased_at = now()",
            empresa_id,
        )
        await connection.execute(
            "UPDATE ateneo.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE empresa_id = $1", empresa_id
        )
    async with db.transaction() as connection:
        rows = await connection.fetch("SELECT name, rows FROM ateneo.erase_tables($1)", empresa_id, timeout=3600)
    return {row["name"]: row["rows"] for row in rows}


async def remaining(db: Database, empresa_id: str) -> dict[str, int]:
    """Rows of the company by table, of those tables that have any, but for its audit log: none right after `erase`."""
    async with db.acquire() as connection:
        names = [row["name"] for row in await connection.fetch("SELECT name FROM ateneo.tenant_tables() ORDER BY name")]
        counts = {
            name: await connection.fetchval(f"SELECT count(*) FROM {name} WHERE empresa_id = $1", empresa_id)  # noqa: S608
            for name in names
            if name not in ("ateneo.erased", "ateneo.audit")
        }
    return {name: count for name, count in counts.items() if count}
