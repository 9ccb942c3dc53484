"""What the JSON bodies of requests share."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ateneo.i18n import both
from ateneo.text.clean import clean


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_clean)]
"""Text that PostgreSQL can store, whatever came: NUL and lone surrogates are legal in JSON."""


class Body(BaseModel):
    """A request's JSON: a field that does not exist is an error, not silence."""

    model_config = ConfigDict(extra="forbid")

    empresa_id: Text | None = Field(
        None,
        description=both(
            "No hace falta: la clave dice de quién es el pedido. Si está, tiene que ser la de la clave.",
            "Not needed: the key says whose the request is. If present, it must be the key's.",
        ),
    )
