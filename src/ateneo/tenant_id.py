"""Which company: the id of a product's tenant, in whatever type the product has it, as the text that Ateneo keeps."""

import uuid
from numbers import Integral

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.text.names import is_name
from ateneo.types import Tenant


def tenant_id(empresa_id: Tenant) -> str:
    """The id as text: a uuid in its usual form, a number in decimals. Raises BadArgument for anything else, and for a
    text that is no name (`text.names`)."""
    text = stored_tenant_id(empresa_id)
    if not is_name(text):
        raise _refused(empresa_id)
    return text


def stored_tenant_id(empresa_id: Tenant) -> str:
    """The same of a company that may be there already, by whatever name another program gave it. Raises BadArgument for
    a text that names nobody or that PostgreSQL cannot store."""
    if isinstance(empresa_id, uuid.UUID):
        return str(empresa_id)
    if isinstance(empresa_id, Integral) and not isinstance(empresa_id, bool):
        return str(int(empresa_id))
    if isinstance(empresa_id, str) and _is_storable(empresa_id):
        return str.__str__(empresa_id)  # of an enumeration's member, its value
    raise _refused(empresa_id)


def _is_storable(text: str) -> bool:
    try:
        return bool(text.strip()) and b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _refused(empresa_id: object) -> BadArgument:
    rule = tr("tiene que ser un texto de 1 a 200 caracteres imprimibles, un UUID o un entero",
              "it must be a text of 1 to 200 printable characters, a UUID or an integer")  # fmt: skip
    return BadArgument(name="empresa_id", value=ascii(empresa_id)[:40], rule=rule)
