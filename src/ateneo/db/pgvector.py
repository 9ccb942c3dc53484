"""Which version of pgvector can do what: managed servers often have an older one."""

from ateneo.db.pool import Connection

NEEDED = (0, 8, 0)
PARALLEL_BUILDS = (0, 8, 2)
"""The first in which several workers can build an HNSW index safely (CVE-2026-3172)."""
SAFE_VACUUM = (0, 8, 3)
"""The first in which a VACUUM repairs the graph of an HNSW index without losing neighbours."""


def numbers(version: str) -> tuple[int, ...]:
    """ "0.8.1" as (0, 8, 1)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def written(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


async def installed(connection: Connection) -> tuple[int, ...]:
    """The version of this database's extension; () where there is none."""
    version = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    return numbers(version or "")
