"""What `ateneo sources add` shows before it asks."""

from ateneo.cli.output import facts, say, warn
from ateneo.cli.runtime import out
from ateneo.i18n import count, dollars, number, tr
from ateneo.sources.service import Estimate
from ateneo.types.sources import SourceDraft, SourceMapping, SourcePreview


def show_draft(draft: SourceDraft, found: SourcePreview, estimate: Estimate) -> None:
    """The mapping, how many rows and what they cost, and what is done to the table."""
    say(f"{draft.relation} → {draft.name}", style="bold")
    out.print(facts({**mapping_facts(draft.mapping), **_amounts(found, estimate)}))
    out.print(_effect(draft))
    if found.without_company:
        rows = count(found.without_company, tr("fila", "row"), tr("filas", "rows"))
        warn(tr(f"{rows} sin empresa, que no se buscan: `ateneo sources check` las nombra.",
                f"{rows} without a company, not searched: `ateneo sources check` names them."))  # fmt: skip


def mapping_facts(mapping: SourceMapping) -> dict[str, str]:
    return {
        tr("clave", "key"): ", ".join(mapping.key),
        tr("empresa", "company"): mapping.tenant or f"«{mapping.empresa_id}»",
        tr("texto", "text"): ", ".join(mapping.text),
        tr("título", "title"): mapping.title or "",
        tr("documento", "document"): mapping.document or "",
        tr("posición", "position"): mapping.position or "",
        tr("metadatos", "metadata"): ", ".join(mapping.metadata),
        tr("condición", "condition"): mapping.condition or tr("ninguna: todas las filas", "none: all rows"),
        tr("enlace", "link"): mapping.url or "",
        tr("cursor", "cursor"): mapping.cursor or "",
    }


def _amounts(found: SourcePreview, estimate: Estimate) -> dict[str, str]:
    hidden = f" ({number(found.hidden)} {tr('no cumplen la condición', 'do not meet the condition')})"
    companies = count(found.companies, tr("empresa", "company"), tr("empresas", "companies"))
    cost = "" if estimate.usd is None else f", USD {dollars(estimate.usd)}"
    return {
        tr("filas", "rows"): number(found.rows) + (hidden if found.hidden else "") + f", {companies}",
        "embeddings": f"~{count(estimate.tokens, 'token', 'tokens')}, {estimate.model}{cost}",
    }


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
