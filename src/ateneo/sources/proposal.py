"""What is what in a table, guessed from its catalog: a proposal that a person reads before anything is done."""

import re
from collections.abc import Iterable, Sequence

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.types.sources import Column, SourceMapping, TableFacts

_WORDS = {
    "tenant": "empresa company tenant organization organisation organizacion org workspace account cuenta team"
    " customer client cliente store shop tienda site",
    "text": "contenido content body cuerpo texto text question pregunta answer respuesta description descripcion"
    " message mensaje resolution solucion solution comment comentario details detalle notes notas summary resumen",
    "title": "title titulo name nombre subject asunto heading headline",
    "withdrawn": "deleted discarded archived removed eliminado borrado hidden trashed unpublished",
    "shown": "visible published publicado publicada active activo activa enabled public publico habilitado",
    "fact": "category categoria type tipo kind clase status estado area department departamento section"
    " seccion language idioma locale lang country pais region city ciudad brand marca priority"
    " prioridad channel canal product producto version audience audiencia level nivel code codigo sku"
    " slug",
    "cursor": "updated_at modified_at changed_at actualizado_en last_modified",
}
_NAMES = {what: tuple(words.split()) for what, words in _WORDS.items()}
"""Of columns, the likeliest first."""
_PRIVATE = re.compile(
    r"pass|secret|token|hash|salt|mail|phone|telefono|celular|dni|cuit|ssn|card|tarjeta|embedding|vector"
)
_TIMES = re.compile(r"_(at|on|en|el)$")
_OPTIONS = {"key": "--id"}
"""What the command calls a field otherwise."""
_LONGEST_FACT = 120
_FACTS = 20


def proposed(facts: TableFacts, *, polled: bool = False) -> SourceMapping:
    """The mapping that fits the names and types of the table's columns; what cannot be guessed is left empty."""
    names = {_snake(one.name): one for one in facts.columns}
    tenant = _tenant(names, facts)
    text = _text(names)
    title = next((names[one].name for one in _NAMES["title"] if one in names and names[one].category == "S"), None)
    if title in text:
        title = None
    condition = _condition(facts.columns)
    taken = {*facts.key, *text, tenant, title, *(one.name for one in facts.columns if _condition_on(one))}
    return SourceMapping(
        key=facts.key,
        text=text,
        tenant=tenant,
        title=title,
        metadata=tuple(one.name for one in facts.columns if one.name not in taken and _is_fact(one))[:_FACTS],
        condition=condition,
        cursor=next((names[one].name for one in _NAMES["cursor"] if one in names), None) if polled else None,
    )


def checked(mapping: SourceMapping, facts: TableFacts) -> SourceMapping:
    """Raises BadArgument for what is missing in it, and for columns that the table has not."""
    known = {one.name for one in facts.columns}
    for name in mapping.columns:
        if name not in known:
            listed = ", ".join(sorted(known))
            rule = tr(
                f"la tabla no tiene esa columna; tiene: {listed}", f"the table has no such column; it has: {listed}"
            )
            raise BadArgument(name="column", value=name, rule=rule)
    _needed("key", mapping.key, "qué columnas identifican una fila", "which columns identify a row")
    _needed("text", mapping.text, "qué columnas tienen el texto", "which columns hold the text")
    whose = (mapping.tenant, mapping.empresa_id)
    _needed(
        "tenant",
        [one for one in whose if one],
        "de qué empresa es cada fila (una columna, o empresa_id si todas son de una)",
        "whose each row is (a column, or empresa_id if all are one company's)",
    )
    if mapping.document is not None:
        order = [mapping.position] if mapping.position else []
        _needed("position", order, "en qué orden van sus filas", "in which order its rows stand")
    return mapping


def _needed(field: str, value: Sequence[str], es: str, en: str) -> None:
    if not value:
        rule = tr(f"no lo puedo deducir de la tabla: decí {es}", f"the table does not tell: say {en}")
        raise BadArgument(name=f"{field} ({_OPTIONS.get(field, f'--{field}')})", value="", rule=rule)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _tenant(names: dict[str, Column], facts: TableFacts) -> str | None:
    for word in _NAMES["tenant"]:
        for candidate in (f"{word}_id", f"id_{word}", f"{word}_uuid", word):
            if candidate in names and (names[candidate].name,) != facts.key:
                return names[candidate].name
    return None


def _text(names: dict[str, Column]) -> tuple[str, ...]:
    """Columns of long text by their names; where none has one of these, the only long one."""
    long = [one for one in names.values() if one.category == "S" and (one.length or 1000) > _LONGEST_FACT]
    named = [names[word].name for word in _NAMES["text"] if word in names and names[word].category == "S"]
    pair = [one for one in named if _snake(one) in ("question", "pregunta", "answer", "respuesta")]
    if len(pair) > 1:
        return tuple(pair)
    if named:
        return (named[0],)
    others = [one.name for one in long if _snake(one.name) not in _NAMES["title"]]
    return (others[0],) if len(others) == 1 else ()


def _is_fact(column: Column) -> bool:
    """Whether it is proposed as metadata: short values that mean something by themselves, and nobody's secrets."""
    name = _snake(column.name)
    if _PRIVATE.search(name) or (_TIMES.search(name) and name.rsplit("_", 1)[0] in _NAMES["withdrawn"]):
        return False
    limited = column.kind != "text" and (column.length or 1000) <= _LONGEST_FACT
    # many products give every text the type text: there the name tells
    short = column.category == "S" and (limited or name in _NAMES["fact"])
    return column.category in "BNDE" or short


def _condition(columns: Iterable[Column]) -> str | None:
    parts = [one for column in columns if (one := _condition_on(column))]
    return " AND ".join(parts) or None


def _condition_on(column: Column) -> str | None:
    name = _snake(column.name)
    quoted = '"' + column.name.replace('"', '""') + '"'
    stem = re.sub(r"^is_|^esta?_|_(at|on|en|el)$", "", name)
    if column.category == "D" and stem in _NAMES["withdrawn"] and name != stem:
        return f"{quoted} IS NULL"
    if column.category == "B" and stem in _NAMES["withdrawn"]:
        return f"{quoted} IS NOT TRUE"
    return quoted if column.category == "B" and stem in _NAMES["shown"] else None
