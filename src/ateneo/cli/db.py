"""`ateneo db`: brings the database to this version, and what else is done to it as a whole."""

import secrets
from typing import Annotated

import typer
from rich.syntax import Syntax
from rich.text import Text

from ateneo.cli import plan_screen, schema_screen
from ateneo.cli.finding import show
from ateneo.cli.options import Yes
from ateneo.cli.runtime import confirmed, database, err, out
from ateneo.cli.usage import Commands
from ateneo.db import generations, migrate, tenant_secret
from ateneo.db import uninstall as uninstallation
from ateneo.db.pool import Database
from ateneo.factories.databases import model_difference, open_database
from ateneo.factories.embedders import make_embedding_service
from ateneo.i18n import count, number, tr
from ateneo.operations.upgrade import upgrade_database
from ateneo.settings import load

app = Commands()


@app.command(help=tr("Crea o adopta las tablas. Se puede repetir.", "Creates or adopts the tables. Can be repeated."))
async def upgrade(
    plan: Annotated[
        bool,
        typer.Option("--plan", help=tr("Dice qué haría; no cambia nada.", "Says what it would do.")),
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help=tr("Con --plan: el SQL entero.", "With --plan: all of the SQL."))
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help=tr("Nombra cada archivo y permiso.", "Names each file and right."))
    ] = False,
    allow_downgrade: Annotated[
        bool,
        typer.Option(
            "--allow-downgrade",
            help=tr(
                "Repone funciones más viejas que las de la base.", "Puts back functions older than the database's."
            ),
        ),
    ] = False,
) -> None:
    if plan or sql:
        await _plan(sql=sql, allow_downgrade=allow_downgrade)
    else:
        await _upgrade(verbose=verbose, allow_downgrade=allow_downgrade)


async def _plan(*, sql: bool, allow_downgrade: bool) -> None:
    async with await open_database(load()) as db:
        steps = await migrate.plan(db, allow_downgrade=allow_downgrade)
        if not steps:
            err.print(tr("La base ya está al día: no hay nada que hacer.", "The database is up to date."))
        elif sql:
            await _show_sql(db, steps)
        else:
            plan_screen.show_plan(steps, await migrate.chunks_table(db), db.where)


async def _show_sql(db: Database, steps: list[migrate.Step]) -> None:
    for step in steps:
        out.print(f"-- {step.title}", style="dim", soft_wrap=True)
        async with db.acquire() as connection:
            resolved = await migrate.resolved(connection, step.sql)
        if out.is_terminal:
            out.print(Syntax(resolved.strip(), "sql", word_wrap=True))
        else:
            out.print(resolved.strip(), soft_wrap=True)


async def _upgrade(*, verbose: bool, allow_downgrade: bool) -> None:
    settings = load()
    embedding = make_embedding_service(settings)
    async with await open_database(settings) as db, embedding:
        with err.status(tr("Preparando la base...", "Preparing the database...")) as shown:
            seen = 0

            def on_page(words: int, vectors: int) -> None:
                nonlocal seen
                seen += words
                text = tr("Indexando palabras", "Indexing words")
                shown.update(f"{text}: {count(seen, 'chunk', 'chunks')}")

            def on_rebuilt(done: int, total: int) -> None:
                text = tr("Palabras analizadas de nuevo", "Words anew")
                shown.update(f"{text}: {number(done)}/{count(total, 'chunk', 'chunks')}")

            steps = await upgrade_database(db, embedding, on_page, on_rebuilt, allow_downgrade=allow_downgrade)
            different = await model_difference(db, settings, embedding)
        missing = await migrate.rights_missing(db)
        for line in [step.title for step in steps] if verbose else schema_screen.summary(steps):
            out.print(Text.assemble(("  ✓ ", "green"), line))
        if seen:
            out.print(Text.assemble(("  ✓ ", "green"), _indexed(seen)))
        out.print(
            tr("Base preparada.", "Database ready.")
            if steps or seen
            else tr("La base ya estaba al día.", "The database was up to date already.")
        )
        if different is not None:
            err.print(f"! {different.what}\n  {different.remedy}", style="yellow", soft_wrap=True)
        _ask_the_administrator(missing)


def _ask_the_administrator(missing: list[str]) -> None:
    """Says what isolation in the database still takes, if anything: the SQL alone goes to stdout."""
    if not missing:
        return
    err.print(
        tr(
            "! Sin aislamiento en la base: este rol no puede crear los roles. Todo funciona, y cada consulta nombra a "
            "la empresa, pero la base no lo impone. Que un administrador ejecute esto, y repetí `ateneo db upgrade`:",
            "! No isolation in the database: this role may not create roles. Everything works, and every query names "
            "the company, but the database does not enforce it. Have an administrator run this, then `ateneo db "
            "upgrade` again:",
        ),
        style="yellow",
    )
    for line in schema_screen.administrators(missing):
        out.print(line, soft_wrap=True)


@app.command(help=tr("Compara la base con lo que debería haber.", "Compares the database with what should be there."))
async def check() -> None:
    async with await open_database(load()) as db:
        found = await schema_screen.findings(db)
    for finding in found:
        show(finding)
    if any(finding.ok is False for finding in found):
        raise typer.Exit(1)


@app.command(help=tr("Quita todo lo de Ateneo, y nada más.", "Takes out everything of Ateneo's, and nothing else."))
async def uninstall(
    drop_chunks: Annotated[
        bool,
        typer.Option(
            "--drop-chunks",
            help=tr("También la tabla de textos, si la hizo Ateneo.", "The table of texts, too, where Ateneo made it."),
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    async with await open_database(load()) as db:
        planned = await uninstallation.plan(db, drop_chunks=drop_chunks)
        if not planned:
            out.print(tr("Ateneo no está instalado en esta base.", "Ateneo is not installed in this database."))
            return
        if not yes:
            out.print(tr(f"Se quita de {db.where}:", f"To be taken out of {db.where}:"), soft_wrap=True)
            plan_screen.show_removals(planned)
            if not confirmed(tr("\n¿Continuar?", "\nContinue?")):
                out.print(tr("No se quitó nada.", "Nothing was taken out."))
                return
        done = await uninstallation.uninstall(db, drop_chunks=drop_chunks)
        plan_screen.show_removals(done if yes else [one for one in done if one.kept])
        out.print(tr("\nAteneo ya no está en esta base.", "\nAteneo is no longer in this database."))


@app.command(
    "forget-embeddings",
    help=tr("Descarta todos los vectores, para empezar de cero.", "Discards every vector, to begin anew."),
)
async def forget_embeddings(yes: Yes = False) -> None:
    async with database() as db:
        question = tr(
            "Se descartan los vectores de todas las empresas; hasta el próximo backfill se busca solo por palabras.",
            "The vectors of every company are discarded; until the next backfill only words are searched.",
        )
        if not yes:
            err.print(question)
            if not confirmed(tr("¿Continuar?", "Continue?")):
                out.print(tr("No se descartó nada.", "Nothing was discarded."))
                return
        pending = await generations.forget(db)
        out.print(
            tr("Listo: ", "Done: ")
            + count(
                pending,
                tr("chunk espera su embedding.", "chunk waits for an embedding."),
                tr("chunks esperan su embedding.", "chunks wait for an embedding."),
            )
        )
        out.print(tr("Generalos con `ateneo backfill`.", "Make them with `ateneo backfill`."))


def _indexed(seen: int) -> str:
    return count(seen, tr("chunk indexado", "chunk indexed"), tr("chunks indexados", "chunks indexed"))


@app.command(
    "sign-tenants", help=tr("La base cree solo a empresas firmadas.", "The database believes signed companies alone.")
)
async def sign_tenants(
    off: Annotated[bool, typer.Option("--off", help=tr("Sin firma, otra vez.", "Unsigned again."))] = False,
) -> None:
    secret = None if off else secrets.token_hex(32)
    async with database() as db:
        await tenant_secret.store_secret(db, secret)
    if secret is None:
        err.print(tr("La base vuelve a creer sin firma.", "The database believes without a signature again."))
        return
    # The setting alone on stdout, to be appended to a secrets file.
    out.print(f"ATENEO_TENANT_SECRET={secret}", soft_wrap=True)
    err.print(
        tr(
            "Desde ya la base rechaza a quien no firme: ponelo entre los secretos y reiniciá lo que esté andando.",
            "From now on who does not sign is refused: put it into the secrets file and restart what is running.",
        ),
        style="yellow",
    )
