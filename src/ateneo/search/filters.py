"""Filters on what is known of a passage, checked before they are searched with or stored (functions/filter.sql)."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ateneo.errors import AgentUnusable, BadArgument
from ateneo.i18n import tr
from ateneo.text.clean import clean
from ateneo.text.json_size import check_size
from ateneo.types import Agent

ORDERINGS = ("gt", "gte", "lt", "lte")
COMPARISONS = ("eq", "ne", *ORDERINGS)
MOST_VALUES = 5000
"""Values in a whole filter: PostgreSQL's parser of jsonpath gives up at some 10,000."""

_SHOWN_CHARS = 120


def checked_filter(filter: object) -> dict[str, Any] | None:
    """The filter, or None where it has no condition: `{}` restricts nothing, and a list without values finds nothing.

    A condition is a text, a number, a boolean or null (equality), a list of those (any of them), or an object of
    comparisons. Raises BadArgument for everything else: what cannot be understood must not search among everything.
    """
    if filter is None:
        return None
    if not isinstance(filter, Mapping):
        rule = tr(
            'es un objeto de condiciones, como {"tipo": "manual"}', 'it is an object of conditions, as {"tipo": "x"}'
        )
        raise _refused(filter, rule)
    check_size("filter", filter, MOST_VALUES)
    return {field: _checked_condition(field, wanted) for field, wanted in filter.items()} or None


def with_checked_filter(empresa_id: str, agent: Agent) -> Agent:
    """The agent as it is stored, which another version or program may have done. Raises AgentUnusable for a filter that
    cannot be searched with."""
    try:
        return replace(agent, filter=checked_filter(agent.filter))
    except BadArgument as error:
        raise AgentUnusable(empresa_id=empresa_id, agent_id=agent.agent_id, detail=error.message) from error


def narrowed(filter: object, field: str, value: str | None) -> dict[str, Any] | None:
    """The filter with one more condition, where there is a value. Raises BadArgument, also for a field that it has."""
    conditions = checked_filter(filter)
    return conditions if value is None else joined(conditions, {field: clean(value)})


def joined(conditions: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """Both filters as one. Raises BadArgument for a field that both have."""
    for field in more:
        if conditions and field in conditions:
            rule = tr("ya está en el filtro", "the filter has it already")
            raise BadArgument(name=field, value=more[field], rule=rule)
    return {**(conditions or {}), **more}


def _checked_condition(field: object, wanted: object) -> Any:
    if not _is_text(field):
        rule = tr("un campo es un texto sin NUL ni medios caracteres", "a field is text without NUL or half characters")
        raise _refused(field, rule)
    if _is_value(wanted):
        return wanted
    if isinstance(wanted, list | tuple) and all(map(_is_value, wanted)):
        return list(wanted)
    if isinstance(wanted, Mapping) and wanted and all(_is_comparison(name, value) for name, value in wanted.items()):
        return dict(wanted)
    names = ", ".join(COMPARISONS)
    rule = tr(
        f"una condición es un texto, un número, true, false o null; una lista de esos valores; o comparaciones"
        f' como {{"gte": 2024}} ({names}; las de orden, con un texto o un número)',
        f"a condition is a text, a number, true, false or null; a list of such values; or comparisons such as"
        f' {{"gte": 2024}} ({names}; those of order with a text or a number)',
    )
    raise _refused({field: wanted}, rule)


def _is_comparison(name: object, value: object) -> bool:
    orders = isinstance(value, str | int | float) and not isinstance(value, bool)
    return name in COMPARISONS and _is_value(value) and (orders or name not in ORDERINGS)


def _is_value(value: object) -> bool:
    if isinstance(value, int | float):  # booleans are numbers here
        return abs(value) <= sys.float_info.max
    return value is None or _is_text(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and clean(value) == value


def _refused(value: object, rule: str) -> BadArgument:
    try:
        shown = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):  # what Python has and JSON has not
        shown = ascii(type(value).__name__)
    return BadArgument(
        name="filter", value=shown[:_SHOWN_CHARS] + ("…" if len(shown) > _SHOWN_CHARS else ""), rule=rule
    )
