"""JSON and XML as lines that a person reads: one a record, each value with its name."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from xml.etree import ElementTree

from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import BETWEEN, LEVELS

_DEEPEST = 50
_OWN = "#"
"""The name of an element's own text, beside its attributes."""


def read_json(text: str) -> SectionBuilder | None:
    """Of a JSON document or of JSON lines; None for text that is neither."""
    value = _loaded(text)
    if not isinstance(value, dict | list):
        return None
    builder = SectionBuilder()
    builder.text("\n".join(_lines(value, "", 0)))
    return builder


def read_xml(text: str) -> SectionBuilder | None:
    """None for text that is no XML."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError):
        return None
    builder = SectionBuilder()
    builder.text("\n".join(_lines(_of_element(root, 0), "", 0)))
    return builder


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None
    return rows if any(isinstance(row, dict) for row in rows) else None


def _lines(value: Any, name: str, depth: int, above: Mapping[str, Any] | None = None) -> Iterator[str]:
    """A list is a line an entry, an object whose values are all single is one line, another a line a value. `above`:
    what names the entry of a list that this one is in, said in each of its lines."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        single = {key: one for key, one in value.items() if _is_flat(one, depth)}
        nested = {key: one for key, one in value.items() if key not in single}
        if single:
            yield _record({**(above or {}), **dict(_flattened(single))}, name)
        own = above if above is None else {**above, **dict(islice(_flattened(single), 1))}
        for key, one in nested.items():
            yield from _lines(one, f"{name}{LEVELS}{key}" if name else str(key), depth + 1, own)
    elif isinstance(value, list):
        for one in value:
            yield from _lines(one, name, depth + 1, above or {})
    elif text := _text(value):
        yield f"{name}: {text}" if name else text


def _record(value: Mapping[str, Any], name: str) -> str:
    parts = [f"{key}: {text}" if key != _OWN else text for key, one in value.items() if (text := _text(one))]
    return BETWEEN.join([*([name] if name else []), *parts])


def _flattened(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Its single values, those of objects in it after the names of these."""
    for key, one in value.items():
        if isinstance(one, Mapping):
            yield from ((key if inner == _OWN else f"{key}{LEVELS}{inner}", deep) for inner, deep in _flattened(one))
        else:
            yield str(key), one


def _is_flat(value: Any, depth: int) -> bool:
    """Whether it goes into the line of the object that has it: no list of objects is in it."""
    if isinstance(value, Mapping):
        return depth < _DEEPEST and all(_is_flat(one, depth + 1) for one in value.values())
    return not (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(str(value).split())


def _of_element(element: ElementTree.Element, depth: int) -> Any:
    """An element as JSON would have it: its attributes and children by their names, those of one name as a list. Text
    with marked words in it is text."""
    if depth > _DEEPEST or any((child.tail or "").strip() for child in element):
        text = " ".join(" ".join(element.itertext()).split())
        children: list[ElementTree.Element] = []
    else:
        text = " ".join((element.text or "").split())
        children = [child for child in element if isinstance(child.tag, str)]
    if not children and not element.attrib:
        return text
    value: dict[str, Any] = {_OWN: text} if text else {}
    value |= {_local(name): one for name, one in element.attrib.items()}
    for child in children:
        name, one = _local(child.tag), _of_element(child, depth + 1)
        former = value.get(name)
        if isinstance(former, list):
            former.append(one)
        else:
            value[name] = one if former is None else [former, one]
    return value


def _local(name: str) -> str:
    return name.rpartition("}")[2]
