"""`ateneo search`: the passages of one company that answer a question, with their scores."""

import json
import re
from functools import partial
from typing import Annotated, Any, cast

import typer
from rich.padding import Padding
from rich.text import Text

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.runtime import entry, err, out
from ateneo.container import Container
from ateneo.db import chunks
from ateneo.errors import UnknownEmpresa
from ateneo.i18n import count, number, tr
from ateneo.search.options import SearchOptions
from ateneo.settings import load
from ateneo.types import Fusion, Hit, Mode, SearchResult

_WORD = re.compile(r"\S+")
_GAP = re.compile(r"\s+")


async def search(
    query: Annotated[str, typer.Argument(help=tr("La pregunta, con tus palabras.", "The question, in your words."))],
    empresa_id: EmpresaId,
    k: Annotated[int, typer.Option("-k", help=tr("Cuántos pasajes.", "How many passages."))] = 5,
    mode: Annotated[str, typer.Option(help="hybrid | dense | lexical")] = "hybrid",
    dense_weight: Annotated[
        float | None, typer.Option(help=tr("Peso del significado, de 0 a 1.", "Weight of meaning, 0 to 1."))
    ] = None,
    where: Annotated[
        str | None, typer.Option("--filter", help=tr("Filtro JSON sobre metadatos.", "JSON filter on metadata."))
    ] = None,
    language: Annotated[
        str | None, typer.Option(help=tr("Solo documentos en: es, en, pt.", "Only documents in: es, en, pt."))
    ] = None,
    fusion: Annotated[str, typer.Option(help="convex | rrf")] = "convex",
    skip: Annotated[int, typer.Option(help=tr("Cuántos saltear (páginas).", "How many to skip (pages)."))] = 0,
    explain: Annotated[bool, typer.Option("--explain", help=tr("Cómo se buscó.", "How it was searched."))] = False,
    neighbours: Annotated[
        int, typer.Option(help=tr("Pasajes vecinos a cada lado.", "Neighbouring passages to each side."))
    ] = 0,
    section: Annotated[bool, typer.Option("--section", help=tr("La sección entera.", "The whole section."))] = False,
    group: Annotated[
        bool, typer.Option("--group", help=tr("Por documento (-k cuenta documentos).", "By document (-k counts them)."))
    ] = False,
    min_score: Annotated[
        float | None,
        typer.Option(
            help=tr("Probabilidad mínima de que responda, de 0 a 1.", "Least probability that it answers, 0 to 1.")
        ),
    ] = None,
    rerank: Annotated[
        bool | None,
        typer.Option("--rerank/--no-rerank", help=tr("Con o sin el reranker.", "With the reranker or not.")),
    ] = None,
    rewrite: Annotated[
        bool | None,
        typer.Option("--rewrite/--no-rewrite", help=tr("Con otra redacción o no.", "With another wording or not.")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    options = partial(  # made where its errors are reported
        SearchOptions,
        k=k,
        mode=cast(Mode, mode),
        dense_weight=dense_weight,
        filter=_json(where),
        language=language,
        fusion=cast(Fusion, fusion),
        skip=skip,
        explain=explain,
        neighbours=neighbours,
        section=section,
        group_by_document=group,
        min_score=min_score,
        highlight=True,
        rerank=rerank,
        rewrite=rewrite,
    )
    async with await Container.open(load()) as container:
        found = await container.search.search(empresa_id, query, options=options())
        if not found.hits and not await chunks.knows(container.db, empresa_id):
            raise UnknownEmpresa(empresa_id=empresa_id)
        await container.audit_log.write(entry(empresa_id, "search", results=len(found.hits)))
    if as_json:
        print_json(found)
    else:
        show(found)


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits
        place = getattr(error, "pos", 0) + 1
        rule = tr(f"no es JSON (desde el carácter {place})", f"this is not JSON (from character {place} on)")
        raise typer.BadParameter(rule, param_hint="--filter") from None


def show(found: SearchResult) -> None:
    """Prints the hits: rank, source, the two scores, and the beginning of the text."""
    for warning in found.warnings:
        err.print(f"! {warning}", style="yellow")
    for word, other in found.corrected.items():
        err.print(
            tr(f"Quisiste decir: {other} (por «{word}»)", f"Did you mean: {other} (for “{word}”)"), style="yellow"
        )
    if not found.hits:
        out.print(tr("No encontré nada sobre eso.", "I found nothing about that."))
    for rank, group in enumerate([group.hits for group in found.groups] or [(hit,) for hit in found.hits], 1):
        for place, hit in enumerate(group):
            show_hit(hit, f"{rank}. " if place == 0 else "   ")
    if found.plan:
        out.print(Text(json.dumps(found.plan, ensure_ascii=False), style="dim"))


def show_hit(hit: Hit, number: str) -> None:
    """Prints one hit, with its section or its neighbours where it has them, these in grey."""
    out.print(Text.assemble((number, "bold"), (hit.label, "bold cyan")), soft_wrap=False)
    out.print(Padding(Text(_scores(hit), style="dim"), (0, 0, 0, 3)))
    before, after = hit.before, hit.after
    if hit.section:
        here = next(place for place, one in enumerate(hit.section) if one.chunk_id == hit.chunk_id)
        before, after = hit.section[:here], hit.section[here + 1 :]
    lines = [
        *(Text(snippet(one.contenido), style="dim") for one in before),
        marked_snippet(hit),
        *(Text(snippet(one.contenido), style="dim") for one in after),
    ]
    for line in [*lines, *_same_text(hit), *_row(hit)]:
        out.print(Padding(line, (0, 0, 0, 3)))


def _row(hit: Hit) -> list[Text]:
    """Which row of a table it is."""
    return [Text(" · ".join(filter(None, (hit.source, ", ".join(hit.key), hit.url))), style="dim")] if hit.key else []


def _same_text(hit: Hit) -> list[Text]:
    """Where else the very same text stands."""
    if not hit.duplicates:
        return []
    where = ", ".join(list(dict.fromkeys(one.source or one.document_id or one.chunk_id for one in hit.same_text))[:3])
    times = count(hit.duplicates, tr("vez", "time"), tr("veces", "times"))
    said = tr(f"El mismo texto está {times} más: {where}", f"The same text stands {times} more: {where}")
    return [Text(said, style="dim")]


def _scores(hit: Hit) -> str:
    meaning = "–" if hit.dense_score is None else number(hit.dense_score, 2)
    words = "–" if not hit.lexical_score else number(hit.lexical_score, 1)
    again = "" if hit.rerank_score is None else f" · reranker {number(hit.rerank_score, 2)}"
    if hit.relevance is not None:
        again += tr(f" · responde {number(hit.relevance, 2)}", f" · answers {number(hit.relevance, 2)}")
    score, name = number(hit.score, 2), hit.chunk_id[:8]
    return tr(
        f"puntaje {score} · significado {meaning} · palabras {words}{again} · chunk {name}",
        f"score {score} · meaning {meaning} · words {words}{again} · chunk {name}",
    )


def marked_snippet(hit: Hit, length: int = 220) -> Text:
    """As `snippet`, the matched words in bold; begins where the first of them is in sight. Reads no more of the passage
    than it shows."""
    text = hit.contenido
    begin = _begin(text, hit.highlights[0][0] if hit.highlights else 0, length)
    line = Text("…" if begin else "")
    spans = iter(hit.highlights)
    span = next(spans, None)
    room = length
    for word in _WORD.finditer(text, begin):
        if len(word[0]) > room:
            if room == length:
                line.append(word[0][:length])
            return line.append("…")
        if room < length:
            line.append(" ")
        start = len(line) - word.start()
        line.append(word[0])
        room -= len(word[0]) + 1
        while span is not None and span[0] < word.end():
            line.stylize("bold", start + max(span[0], word.start()), start + min(span[1], word.end()))
            span = next(spans, None)
    return line


def _begin(text: str, first: int, length: int) -> int:
    """Where a line that shows `first` begins: at 0, or at a word a quarter of the line before it."""
    if first < length * 3 // 4:
        return 0
    gap = _GAP.search(text, first - length // 4, first)
    return gap.end() if gap else first - length // 4


def snippet(text: str, length: int = 220) -> str:
    """The beginning of a passage on one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length].rsplit(" ", 1)[0] + "…"
