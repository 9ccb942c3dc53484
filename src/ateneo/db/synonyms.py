"""Words that a company uses for the same thing (table `ateneo.synonym`): celular and móvil, factura and boleta."""

from collections.abc import Sequence

from ateneo.db.pool import Database


async def add(db: Database, empresa_id: str, words: Sequence[str]) -> int:
    """Makes each of the words stand for each other, without accents and case. Returns how many pairs are new."""
    async with db.tenant(empresa_id, writes=True) as connection:
        status = await connection.execute(
            "WITH folded AS (SELECT DISTINCT btrim(ateneo.fold(w)) AS w FROM unnest($2::text[]) w)"
            " INSERT INTO ateneo.synonym (empresa_id, word, same_as)"
            " SELECT $1, a.w, b.w FROM folded a JOIN folded b ON a.w <> b.w WHERE a.w <> '' AND b.w <> ''"
            " ON CONFLICT DO NOTHING",
            empresa_id,
            list(words),
        )
    return int(status.split()[-1]) // 2


async def remove(db: Database, empresa_id: str, word: str) -> int:
    """Forgets everything that the word stands for and that stands for it. Returns how many pairs that was."""
    async with db.tenant(empresa_id, writes=True) as connection:
        status = await connection.execute(
            "DELETE FROM ateneo.synonym WHERE empresa_id = $1"
            " AND (word = btrim(ateneo.fold($2)) OR same_as = btrim(ateneo.fold($2)))",
            empresa_id,
            word,
        )
    return int(status.split()[-1]) // 2


async def listed(db: Database, empresa_id: str) -> dict[str, list[str]]:
    """Each word with those it stands for, in order."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT word, array_agg(same_as ORDER BY same_as) AS others FROM ateneo.synonym WHERE empresa_id = $1"
            " GROUP BY word ORDER BY word",
            empresa_id,
        )
    return {row["word"]: row["others"] for row in rows}
