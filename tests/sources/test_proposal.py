"""What the names and types of a table's columns are taken for; no database here."""

import pytest

from ateneo.sources.proposal import proposed
from ateneo.types.sources import Column, TableFacts


def facts(*columns: str) -> TableFacts:
    """Of columns as "name type"; an `id uuid` is the key."""
    split = [one.split(" ", 1) for one in ("id uuid", *columns)]
    made = [Column(name, kind, category(kind)) for name, kind in split]
    return TableFacts("app.t", "t", False, tuple(made), ("id",), True)


def category(kind: str) -> str:
    known = {"text": "S", "boolean": "B", "uuid": "U", "numeric": "N", "timestamp with time zone": "D"}
    return known.get(kind, "S")


@pytest.mark.parametrize("company", ["tenant_id", "company_id", "empresa_id", "organizationId", "workspace_uuid"])
def test_whose_a_row_is(company: str) -> None:
    assert proposed(facts(f"{company} uuid", "content text")).tenant == company


def test_short_texts_are_metadata_also_where_every_text_is_of_type_text() -> None:
    found = proposed(
        facts("tenant_id uuid", "content text", "category text", "status text", "remarks text", "price numeric")
    )
    assert found.metadata == ("category", "status", "price")


@pytest.mark.parametrize("secret", ["api_token", "user_email", "password_hash", "telefono"])
def test_secrets_are_no_metadata(secret: str) -> None:
    assert proposed(facts("tenant_id uuid", "content text", f"{secret} character varying")).metadata == ()


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        ("deleted_at timestamp with time zone", '"deleted_at" IS NULL'),
        ("is_archived boolean", '"is_archived" IS NOT TRUE'),
        ("visible boolean", '"visible"'),
        ("created_at timestamp with time zone", None),
    ],
)
def test_what_is_withdrawn(column: str, condition: str | None) -> None:
    assert proposed(facts("tenant_id uuid", "content text", column)).condition == condition
