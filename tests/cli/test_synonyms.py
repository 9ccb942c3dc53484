"""`ateneo synonyms`, and that search uses them for their own company alone."""

from pathlib import Path

import asyncpg
from tests.cli.run import ateneo


async def test_synonyms(database_url: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ($1, $2)",
        [("acme", "Cada vendedor tiene un celular de la empresa."), ("otra", "El celular es de cada uno.")],
    )
    await connection.close()
    groups = tmp_path / "grupos.csv"
    groups.write_text("factura,boleta\nordenador,computadora,pc\n", encoding="utf-8")
    assert "1 par nuevo" in ateneo("synonyms", "add", "celular", "Móvil", "-e", "acme", url=database_url).stdout
    assert "4 pares nuevos" in ateneo("synonyms", "import", str(groups), "-e", "acme", url=database_url).stdout
    listed = ateneo("synonyms", "list", "-e", "acme", url=database_url).stdout
    assert "movil: celular" in listed
    found = ateneo("search", "-e", "acme", "móvil", "--mode", "lexical", url=database_url).stdout
    assert "Cada vendedor" in found
    assert "No encontré" in ateneo("search", "-e", "otra", "móvil", "--mode", "lexical", url=database_url).stdout
    assert "1 par olvidado" in ateneo("synonyms", "remove", "movil", "-e", "acme", url=database_url).stdout
    assert ateneo("synonyms", "add", "sola", "-e", "acme", url=database_url).returncode == 2
    assert ateneo("synonyms", "import", str(tmp_path / "no.csv"), "-e", "acme", url=database_url).returncode == 2


async def test_the_words_of_a_country(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', 'El kilo de calabaza cuesta dos pesos.')"
    )
    await connection.close()
    shown = ateneo("synonyms", "regional", "ar", "-e", "acme", "--show", url=database_url)
    assert "zapallo, calabaza" in shown.stdout
    search = ("search", "-e", "acme", "zapallo", "--mode", "lexical")
    assert "No encontré" in ateneo(*search, url=database_url).stdout
    assert "pares nuevos" in ateneo("synonyms", "regional", "AR", "-e", "acme", url=database_url).stdout
    assert "calabaza" in ateneo(*search, url=database_url).stdout
    unknown = ateneo("synonyms", "regional", "ZZ", "-e", "acme", url=database_url)
    assert unknown.returncode == 2
    assert "AR" in unknown.stderr
