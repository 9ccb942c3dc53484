"""Words that a company uses for the same thing (table `ateneo.synonym`): celular and móvil, factura and boleta."""

from collections.abc import Sequence

from ateneo.db.pool import Database


async def add(db: Database, empresa_id: str, words: Sequence[str]) -> int:
    """Makes each of the words stand for each other, without accents and case. Returns how many pairs are new."""
    async with db.tenant(empresa_id, writes=True) as connection:
        new = await connection.fetchval("SELECT ateneo.own_synonyms_add($1, $2)", empresa_id, list(words))
    return int(new) // 2


async def remove(db: Database, empresa_id: str, word: str) -> int:
    """Forgets everything that the word stands for and that stands for it. Returns how many pairs that was."""
    async with db.tenant(empresa_id, writes=True) as connection:
        gone = await connection.fetchval("SELECT ateneo.own_synonyms_remove($1, $2)", empresa_id, word)
    return int(gone) // 2


async def listed(db: Database, empresa_id: str) -> dict[str, list[str]]:
    """Each word with those it stands for, in order."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT word, array_agg(same_as ORDER BY same_as) AS others FROM ateneo.own_synonyms($1)"
            " GROUP BY word ORDER BY word",
            empresa_id,
        )
    return {row["word"]: row["others"] for row in rows}
