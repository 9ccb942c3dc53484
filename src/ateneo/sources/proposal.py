"""What is what in a table, guessed from its catalog: a proposal that a person reads before anything is done."""

import re
from collections.abc import Collection, Iterable, Sequence

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.types.sources import PARENT, Column, SourceMapping, TableFacts

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
_VECTOR = re.compile(r"(^|\.)(vector|halfvec)(\(\d+\))?$")
_ARRAYS = ("real[]", "double precision[]")
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
        vector=next((one.name for one in facts.columns if is_vector(one)), None),
    )


def is_vector(column: Column) -> bool:
    """By its type; of an array of numbers by its name, too."""
    named = re.search(r"embedding|vector|^vec", _snake(column.name)) is not None
    return _VECTOR.search(column.kind) is not None or (named and column.kind in _ARRAYS)


def checked(mapping: SourceMapping, facts: TableFacts, parent: TableFacts | None = None) -> SourceMapping:
    """Raises BadArgument for what is missing in it, and for columns that the table, or its parent, has not."""
    kinds = {one.name: one.kind for one in facts.columns}
    kinds |= {f"{PARENT}{one.name}": one.kind for one in parent.columns} if parent else {}
    known, objects = set(kinds), {name for name, kind in kinds.items() if kind in ("json", "jsonb")}
    plain = {*mapping.key, mapping.cursor, mapping.vector}
    for name in mapping.columns:
        if name not in known and (name in plain or column_of(name) not in objects):
            listed = ", ".join(sorted(known))
            rule = tr(
                f"la tabla no tiene esa columna; tiene: {listed}", f"the table has no such column; it has: {listed}"
            )
            raise BadArgument(name="column", value=name, rule=rule)
    _needed("key", mapping.key, "qué columnas identifican una fila", "which columns identify a row")
    _needed("text", mapping.text, "qué columnas tienen el texto", "which columns hold the text")
    _refuse_misplaced(mapping, facts)
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


def column_of(field: str) -> str:
    """The column that a field of its JSON stands in: `metadata` of `metadata->>tag`."""
    return field.partition("->")[0]


def _refuse_misplaced(mapping: SourceMapping, facts: TableFacts) -> None:
    """All keys of an object as anything but metadata, and as a vector what is none."""
    for name in (set(mapping.columns) - set(mapping.metadata)) | set(mapping.text):
        if name.endswith("->*"):
            rule = tr("todas las claves solo pueden ser metadatos", "all keys can be metadata only")
            raise BadArgument(name="column", value=name, rule=rule)
    kind = next((one.kind for one in facts.columns if one.name == mapping.vector), None)
    if kind is not None and not _VECTOR.search(kind) and kind not in _ARRAYS:
        rule = tr(f"es {kind}, y no vector, halfvec, real[] o double precision[]",
                  f"it is {kind}, and not vector, halfvec, real[] or double precision[]")  # fmt: skip
        raise BadArgument(name="vector (--vector)", value=mapping.vector or "", rule=rule)


def _needed(field: str, value: Sequence[str], es: str, en: str) -> None:
    if not value:
        rule = tr(f"no lo puedo deducir de la tabla: decí {es}", f"the table does not tell: say {en}")
        raise BadArgument(name=f"{field} ({_OPTIONS.get(field, f'--{field}')})", value="", rule=rule)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _tenant(names: dict[str, Column], facts: TableFacts) -> str | None:
    found = tenant_name([one for one, column in names.items() if (column.name,) != facts.key])
    return names[found].name if found else None


def tenant_name(names: Collection[str]) -> str | None:
    """The likeliest of these names for the company."""
    shapes = ("{}_id", "id_{}", "{}_uuid", "{}")
    candidates = (shape.format(word) for word in _NAMES["tenant"] for shape in shapes)
    return next((one for one in candidates if one in names), None)


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
