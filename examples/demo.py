"""`make demo`: Ateneo's main job, told as a story on a database of its own that is thrown away at the end.

Two companies have a backend with a table of texts and no search. The table is adopted as it is, gets its embeddings,
takes in new files, and answers questions by meaning: each company from its own text alone.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ateneo.i18n import count, number

EXAMPLES = Path(__file__).resolve().parent
BACKEND = EXAMPLES.parent / "backend"
EMPRESAS = {"textil-pampa": "Textil Pampa (Argentina)", "clinica-aurora": "Clínica Aurora (México)"}
QUESTIONS = ("tp-03", "tp-06", "ca-10", "ca-13", "ca-14", "ca-15")
FOR_THE_AGENT = ("textil-pampa", "¿cuánto me pagan si laburo un feriado?")

sys.path.insert(0, str(BACKEND))

out = Console(highlight=False, width=None if sys.stdout.isatty() else 80)

# The backend of before: the guide's columns, no embedding, and things of the user's own that must survive.
EXISTING = """
CREATE TABLE documentos (id text PRIMARY KEY, empresa_id text NOT NULL, titulo text NOT NULL);
CREATE TABLE knowledge_chunks (
  id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  document_id text REFERENCES documentos (id) ON DELETE CASCADE,
  empresa_id text NOT NULL, chunk_index int, contenido text, tokens_count int,
  visible boolean NOT NULL DEFAULT true);
"""
# The guide's INSERT (step 9), without the embedding that this backend does not have yet.
INSERT = """
INSERT INTO knowledge_chunks
(document_id, empresa_id, chunk_index, contenido, tokens_count)
VALUES ($1, $2, $3, $4, $5)
"""
FINGERPRINT = """
SELECT count(*) AS filas, md5(string_agg(concat_ws('|', id, document_id, empresa_id, chunk_index, contenido,
  tokens_count, visible), '' ORDER BY id)) AS huella FROM knowledge_chunks
"""


def chapter(letter: str, title: str, text: str) -> None:
    out.print()
    out.rule(f"[bold]{letter}. {title}", align="left")
    out.print(text)


def shell(*command: str) -> None:
    """Shows a command as a user would type it, and runs it."""
    shown = ["python", *command[1:]] if command[0] == sys.executable else [Path(command[0]).name, *command[1:]]
    out.print(f"\n[bold green]$[/] [bold]{escape(' '.join(shown))}")
    subprocess.run(command, cwd=BACKEND, check=True, stdin=subprocess.DEVNULL)


def sections(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Each Markdown document of a folder: its name, its title, and its sections as the old backend had cut them."""
    for path in sorted(folder.glob("*.md")):
        head, *parts = path.read_text(encoding="utf-8").split("\n## ")
        yield path.stem, head.strip("# \n"), [part.strip() for part in parts]


async def existing_backend(db: asyncpg.Connection) -> None:
    chapter(
        "a",
        "Un backend que ya existe",
        "Dos empresas comparten una tabla knowledge_chunks llena de texto. No hay columna de embeddings y no hay "
        "más búsqueda que LIKE.",
    )
    await db.execute(EXISTING)
    table = Table("empresa_id", "empresa", "documentos", "chunks", box=None, header_style="dim")
    for empresa_id, name in EMPRESAS.items():
        chunks = 0
        documents = list(sections(EXAMPLES / empresa_id / "existing"))
        for stem, title, parts in documents:
            document_id = f"{empresa_id}/{stem}"
            await db.execute("INSERT INTO documentos VALUES ($1, $2, $3)", document_id, empresa_id, title)
            for index, part in enumerate(parts):
                await db.execute(INSERT, document_id, empresa_id, index, part, len(part) // 4)
            chunks += len(parts)
        table.add_row(empresa_id, name, number(len(documents)), number(chunks))
    out.print(table)
    before = await db.fetchrow(FINGERPRINT)
    shell(str(Path(sys.executable).with_name("ateneo")), "db", "upgrade")
    after = await db.fetchrow(FINGERPRINT)
    if before != after:
        raise SystemExit("La adopción cambió filas del usuario.")
    out.print(f"Las filas ({number(after['filas'])}), la columna «visible» y la clave foránea siguen como estaban.")


def backfill() -> None:
    chapter(
        "b",
        "Embeddings para lo que ya estaba",
        "Los tres comandos de la guía, en backend/: primero sin cambiar nada, después 50, después todo.",
    )
    script = (sys.executable, "-m", "scripts.migrate_embeddings")
    shell(*script, "--dry-run")
    shell(*script, "--limit", "50", "--yes")
    shell(*script, "--yes")


async def new_files(db: asyncpg.Connection) -> None:
    from services.ingestion_service import IngestionService

    chapter(
        "c",
        "Archivos nuevos",
        "Markdown, PDF, DOCX y HTML entran por IngestionService(db).process_document(...) y salen\ncon sus embeddings.",
    )
    ingestion = IngestionService(db)
    table = Table("archivo", "empresa_id", "chunks", "páginas", box=None, header_style="dim")
    for empresa_id in EMPRESAS:
        for path in sorted((EXAMPLES / empresa_id / "files").iterdir()):
            document_id = f"{empresa_id}/{path.name}"
            await db.execute("INSERT INTO documentos VALUES ($1, $2, $3)", document_id, empresa_id, path.stem)
            stored = await ingestion.process_document(path, empresa_id, document_id=document_id)
            table.add_row(path.name, empresa_id, number(stored.chunks), str(stored.pages or "–"))
    out.print(table)
    pending = await db.fetchval("SELECT count(*) FROM knowledge_chunks WHERE embedding IS NULL")
    out.print(f"Chunks sin embedding: {number(pending)}.")


def questions_by_id() -> dict[str, dict[str, str]]:
    every = {}
    for empresa_id in EMPRESAS:
        for line in (EXAMPLES / f"questions-{empresa_id}.jsonl").read_text(encoding="utf-8").splitlines():
            question = json.loads(line)
            every[question["id"]] = question
    return every


async def questions(db: asyncpg.Connection) -> None:
    from services.vector_search_service import VectorSearchService

    chapter(
        "d",
        "Seis preguntas por significado",
        "Ninguna palabra importante de la pregunta está en el pasaje que la contesta. «significado» es la similitud "
        "coseno; «palabras», BM25. ✓ marca el pasaje que responde.",
    )
    search = VectorSearchService(db)
    foreign = 0
    every = questions_by_id()
    for question in (every[name] for name in QUESTIONS):
        found = await search.search(question["empresa_id"], question["question"], k=3)
        out.print(f"\n[bold]{escape(question['question'])}[/] [dim]({question['empresa_id']})")
        for hit in found.hits:
            owner = await db.fetchrow(
                "SELECT k.empresa_id, d.titulo FROM knowledge_chunks k JOIN documentos d ON d.id = k.document_id"
                " WHERE k.id = $1",
                hit.chunk_id,
            )
            foreign += owner["empresa_id"] != question["empresa_id"]
            right = " ".join(question["passage"].split()) in " ".join(hit.contenido.split())
            words = number(hit.lexical_score or 0, 1)
            scores = f"{number(hit.score, 2)}  significado {number(hit.dense_score or 0, 2)}  palabras {words:>4}"
            mark = "[bold green]✓[/]" if right else " "
            out.print(
                f" {mark} {scores}  [cyan]{escape(hit.title or owner['titulo'])}", no_wrap=True, overflow="ellipsis"
            )
            text = " ".join(hit.contenido.split())
            out.print(
                Padding(Text(text, style="" if right else "dim", no_wrap=True, overflow="ellipsis"), (0, 0, 0, 5))
            )
    out.print(f"\nPasajes de otra empresa entre los resultados: {foreign}.")
    if foreign:
        raise SystemExit("Un resultado era de otra empresa.")


async def agent(db: asyncpg.Connection) -> None:
    from services.agent_service import AgentService

    chapter(
        "e",
        "Un agente que cita",
        "AgentService(db).chat(...) contesta desde los pasajes y dice de dónde sale todo.",
    )
    empresa_id, question = FOR_THE_AGENT
    answer = await AgentService(db).chat(empresa_id, "rrhh", question)
    out.print(f"\n[bold]{escape(question)}")
    out.print(Text(answer.content[0].text))
    for citation in {citation.number: citation for citation in answer.citations}.values():
        out.print(f"  \\[{citation.number}] [cyan]{escape(citation.label)}[/]  [dim]chunk {citation.chunk_id[:8]}")
    if answer.extractive:
        out.print("[dim]Sin ANTHROPIC_API_KEY contesta el modo extractivo; con la clave, Claude.")


async def story(url: str) -> None:
    db = await asyncpg.connect(url)
    try:
        await existing_backend(db)
        backfill()
        await new_files(db)
        await questions(db)
        await agent(db)
    finally:
        await db.close()


def main() -> None:
    from ateneo.db import embedded

    started = time.monotonic()
    out.print("[bold]Ateneo[/]: buscar por significado, no por palabras exactas.")
    with tempfile.TemporaryDirectory(prefix="ateneo-demo-", ignore_cleanup_errors=True) as folder:
        address = f"embedded:{folder}/postgres"
        out.print("Arranco un PostgreSQL + pgvector propio, que se borra al terminar.")
        os.environ["DATABASE_URL"] = url = embedded.start(address)
        asyncio.run(story(url))
        embedded.stop(address)
    out.print()
    out.rule("[bold]Qué sigue", align="left")
    out.print("Para mirarlo:  make serve    (la consola en http://127.0.0.1:8000/, con estas dos empresas)")
    out.print("Tus archivos:  export DATABASE_URL=embedded && .venv/bin/ateneo db upgrade")
    out.print("               .venv/bin/ateneo ingest --empresa-id mi-empresa mi-carpeta/")
    out.print("               .venv/bin/ateneo search --empresa-id mi-empresa '¿...?'")
    out.print(f"Todo esto tardó {count(round(time.monotonic() - started), 'segundo', 'segundos')}.")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
