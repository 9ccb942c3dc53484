"""The description of the API is valid OpenAPI, and complete."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from tests.api.conftest import Api
from tests.api.server import serving, settings
from tests.api.test_access import PUBLIC


@pytest.fixture
def description(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{api.url}/openapi.json").json()
    return found


def _operations(description: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, operation) for path, item in description["paths"].items() for operation in item.values()]


def test_it_is_valid(description: dict[str, Any]) -> None:
    assert OpenAPI.model_validate(description).openapi.startswith("3.1")
    for reference in _references(description):
        place: Any = description
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for path, operation in _operations(description):
        named = set(re.findall(r"{(\w+)}", path))
        assert {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"} == named, path


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _references(item)


def test_every_operation_has_a_name_a_tag_a_summary_and_problems(description: dict[str, Any]) -> None:
    operations = _operations(description)
    assert len({operation["operationId"] for _, operation in operations}) == len(operations)
    for path, operation in operations:
        assert operation["tags"] and operation["summary"], path
        assert bool(operation.get("security")) == (path not in PUBLIC), path
        if path not in ("/health", "/metrics"):
            assert "application/problem+json" in operation["responses"]["default"]["content"], path


def test_every_field_that_is_text_has_an_example_in_the_requests(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    assert schemas["SearchRequest"]["properties"]["query"]["examples"] == ["¿Cuánto me pagan si trabajo un feriado?"]
    assert schemas["ChatBody"]["properties"]["message"]["examples"]


def _texts(part: Any) -> Iterator[str]:
    """What people read of a description: summaries, descriptions, titles that were written."""
    if isinstance(part, dict):
        yield from (part[key] for key in ("summary", "description") if isinstance(part.get(key), str))
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _texts(item)


def test_it_speaks_the_readers_language_and_else_the_settings(api: Api) -> None:
    """Whatever was spoken when the modules were loaded."""
    with serving(settings(api.database_url, ATENEO_LANG="en")) as url:
        english = httpx.get(f"{url}/openapi.json").json()
        asked = httpx.get(f"{url}/openapi.json", headers={"Accept-Language": "es-AR"}).json()
        page = httpx.get(f"{url}/docs").text
    spanish = httpx.get(f"{api.url}/openapi.json").json()
    assert asked == spanish
    pairs = list(zip(_texts(spanish), _texts(english), strict=True))
    assert ("Busca por significado y por palabras", "Searches by meaning and by words") in pairs
    assert ("condiciones sobre los metadatos", "conditions on the metadata") in pairs
    assert ("A company's documents, by meaning") in [english["info"]["summary"]]
    assert "Searches by meaning and by words" in page
    assert "Busca por significado" not in page
    assert not [text for pair in pairs for text in pair if "\x1f" in text]
    summaries = [pair for pair in pairs if pair[0] != pair[1]]
    assert len(summaries) > 30
