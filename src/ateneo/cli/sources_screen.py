"""What `ateneo sources add` shows before it asks."""

from ateneo.cli.output import facts, say, warn
from ateneo.cli.runtime import out
from ateneo.i18n import count, dollars, number, tr
from ateneo.sources.html import looks_like_html
from ateneo.sources.service import Estimate
from ateneo.sources.vectors import SAMPLE
from ateneo.types.sources import SourceDraft, SourceMapping, SourcePreview


def show_draft(draft: SourceDraft, found: SourcePreview, estimate: Estimate, *, checked: bool) -> None:
    """The mapping, how many rows and what they cost, and what is done to the table. `checked`: whether vectors that it
    brings are compared with the model's."""
    say(f"{draft.relation} → {draft.name}", style="bold")
    out.print(facts({**mapping_facts(draft.mapping), **_amounts(found, estimate)}))
    if draft.mapping.vector:
        out.print(_saved(draft, found, estimate, checked=checked))
    elif draft.unused_vector:
        column = draft.unused_vector
        out.print(tr(f"{column} tiene vectores: con --model PROVEEDOR/MODELO se toman sin pagarlos otra vez.",
               f"{column} is of vectors: with --model PROVIDER/MODEL they are taken over for free."))  # fmt: skip
    if looks_like_html(found.sample) and not draft.mapping.html:
        out.print(tr("Los textos parecen HTML: con --html se lee lo que dicen, sin las marcas.",
                     "The texts look like HTML: with --html what they say is read, without its tags."))  # fmt: skip
    out.print(_effect(draft))
    if found.without_company:
        rows = count(found.without_company, tr("fila", "row"), tr("filas", "rows"))
        warn(tr(f"{rows} sin empresa, que no se buscan: `ateneo sources check` las nombra.",
                f"{rows} without a company, not searched: `ateneo sources check` names them."))  # fmt: skip


def mapping_facts(mapping: SourceMapping) -> dict[str, str]:
    return {
        tr("clave", "key"): ", ".join(mapping.key),
        tr("empresa", "company"): mapping.tenant or f"«{mapping.empresa_id}»",
        tr("texto", "text"): ", ".join(mapping.text) + (" (HTML)" if mapping.html else ""),
        tr("título", "title"): mapping.title or "",
        tr("documento", "document"): mapping.document or "",
        tr("posición", "position"): mapping.position or "",
        tr("metadatos", "metadata"): ", ".join(mapping.metadata),
        tr("condición", "condition"): mapping.condition or tr("ninguna: todas las filas", "none: all rows"),
        tr("enlace", "link"): mapping.url or "",
        tr("cursor", "cursor"): mapping.cursor or "",
        tr("vectores", "vectors"): f"{mapping.vector}, {mapping.model}" if mapping.vector else "",
        "parent": mapping.parent.relation if mapping.parent else "",
    }


def _amounts(found: SourcePreview, estimate: Estimate) -> dict[str, str]:
    hidden = f" ({number(found.hidden)} {tr('no cumplen la condición', 'do not meet the condition')})"
    companies = count(found.companies, tr("empresa", "company"), tr("empresas", "companies"))
    cost = "" if estimate.usd is None else f", USD {dollars(estimate.usd)}"
    return {
        tr("filas", "rows"): number(found.rows) + (hidden if found.hidden else "") + f", {companies}",
        "embeddings": f"~{count(estimate.tokens, 'token', 'tokens')}, {estimate.model}{cost}",
    }


def _saved(draft: SourceDraft, found: SourcePreview, estimate: Estimate, *, checked: bool) -> str:
    """How many rows bring their vector, what that saves, and what it takes to check it."""
    rows = count(found.usable.rows, tr("fila trae", "row brings"), tr("filas traen", "rows bring"))
    tokens = count(estimate.saved_tokens, "token", "tokens")
    worth = tokens if estimate.saved_usd is None else f"{tokens}, USD {dollars(estimate.saved_usd)}"
    said = tr(f"{rows} su vector, que se toma sin pagarlo otra vez (~{worth}).",
              f"{rows} a vector, taken over without paying for it again (~{worth}).")  # fmt: skip
    others = found.rows - found.usable.rows
    if others:
        left = count(others, tr("fila", "row"), tr("filas", "rows"))
        said += tr(f" {left} sin vector de ese largo se embeben.", f" {left} without one of that length are embedded.")
    if checked and found.usable.rows:
        few = count(min(found.usable.rows, SAMPLE), tr("texto", "text"), tr("textos", "texts"))
        take = count(estimate.check_tokens, "token", "tokens")
        said += tr(f" Compruebo que sean de {draft.mapping.model} con {few} (~{take}).",
                   f" I check that they are of {draft.mapping.model} with {few} (~{take}).")  # fmt: skip
    return said


def _effect(draft: SourceDraft) -> str:
    if draft.follow == "triggers":
        return tr(
            "En la tabla pongo cuatro triggers AFTER por sentencia, que anotan claves; nada más. Lo que deja de cumplir"
            " la condición deja de encontrarse con su COMMIT.",
            "On the table I put four statement-level AFTER triggers, which note keys; nothing else. What no longer"
            " meets the condition is no longer found after its COMMIT.",
        )
    return tr(
        "En la tabla no pongo nada: la consulto. Lo retirado se sigue encontrando hasta la consulta siguiente.",
        "On the table I put nothing: I poll it. What is withdrawn is found until the next poll.",
    )
