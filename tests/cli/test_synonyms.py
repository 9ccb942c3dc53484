"""`ateneo synonyms`, and that search uses them for their own company alone."""

from pathlib import Path

import asyncpg
from tests.cli.test_cli import ateneo


async def test_synonyms(database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ($1, $2)",
        [("acme", "Cada vendedor tiene un celular de la empresa."), ("otra", "El celular es de cada uno.")],
    )
    await connection.close()
    groups = tmp_path / "grupos.csv"
    groups.write_text("factura,boleta\nordenador,computadora,pc\n", encoding="utf-8")
    assert "1 pares" in ateneo("synonyms", "add", "celular", "Móvil", "-e", "acme", url=database_url).stdout
    assert "4 pares" in ateneo("synonyms", "import", str(groups), "-e", "acme", url=database_url).stdout
    listed = ateneo("synonyms", "list", "-e", "acme", url=database_url).stdout
    assert "movil: celular" in listed
    found = ateneo("search", "-e", "acme", "móvil", "--mode", "lexical", url=database_url).stdout
    assert "Cada vendedor" in found
    assert "No encontré" in ateneo("search", "-e", "otra", "móvil", "--mode", "lexical", url=database_url).stdout
    assert "1 pares" in ateneo("synonyms", "remove", "movil", "-e", "acme", url=database_url).stdout
    assert ateneo("synonyms", "add", "sola", "-e", "acme", url=database_url).returncode == 2
    assert ateneo("synonyms", "import", str(tmp_path / "no.csv"), "-e", "acme", url=database_url).returncode == 2
