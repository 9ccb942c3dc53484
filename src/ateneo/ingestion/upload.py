"""What comes with an upload, checked: whose it is, which document, its name, title and metadata."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ateneo.db.identity import NEW, Identity, Known
from ateneo.errors import BadArgument
from ateneo.i18n import number, tr
from ateneo.tenant_id import tenant_id
from ateneo.text.clean import clean
from ateneo.text.json_size import check_size
from ateneo.types import Origin, StoredDocument, Tenant

LONGEST_EMPRESA_ID = 200
LONGEST_SOURCE = 200
LONGEST_NAME = 500
LARGEST_PAGE = 1000


class Readable(Protocol):
    """An open binary file, or what stands for one (starlette's UploadFile): `read(n)` gives bytes, or a promise."""

    def read(self, size: int, /) -> Any: ...


File = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


def checked_empresa(empresa_id: Tenant) -> str:
    """The id as text. Raises BadArgument for what cannot name a company: see `tenant_id`; 200 characters at most."""
    text = tenant_id(empresa_id)
    _check_text("empresa_id", text, LONGEST_EMPRESA_ID)
    return text


def _check_text(name: str, value: object, longest: int) -> None:
    good = isinstance(value, str) and value.strip() and len(value) <= longest and clean(value) == value
    if not good:
        rule = tr(
            f"tiene que ser un texto de 1 a {number(longest)} caracteres, sin NUL",
            f"it must be a text of 1 to {number(longest)} characters, without NUL",
        )
        raise BadArgument(name=name, value=repr(value)[:40], rule=rule)


def checked_id(name: str, value: object) -> str:
    """An id as text. Raises BadArgument."""
    value = str(value)  # a table of the user's may keep it as uuid or number
    _check_text(name, value, LONGEST_NAME)
    return value


def identity_of(document_id: object | None, external_id: str | None, origin: Origin | None) -> Identity:
    """Raises BadArgument where more than one is given, or one that cannot be an id."""
    given = {"document_id": document_id, "external_id": external_id, "origin": origin}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        rule = tr("uno solo dice qué documento es", "one alone says which document it is")
        raise BadArgument(name=", ".join(names), value="…", rule=rule)
    if origin is not None:
        _check_text("origin.source", origin.source, LONGEST_SOURCE)
        return Identity(origin=origin.source, external_id=checked_id("origin.path", origin.path))
    if external_id is not None:
        return Identity(origin="", external_id=checked_id("external_id", external_id))
    return NEW if document_id is None else Identity(checked_id("document_id", document_id))


@dataclass(frozen=True, slots=True)
class Upload:
    """What came with a file. None: it did not come."""

    source: str
    title: str | None
    metadata: dict[str, Any] | None
    folder: str | None


def upload_of(
    file: File,
    name: str | None,
    title: str | None,
    metadata: Mapping[str, Any] | None,
    folder: str | None,
) -> Upload:
    """Raises BadArgument."""
    given = None if metadata is None else checked_metadata(metadata)
    return Upload(_name(file, name), clean(title or "").strip() or None, given, folder)


def uploaded(
    file: File,
    *,
    name: str | None,
    document_id: object | None,
    external_id: str | None = None,
    origin: Origin | None = None,
    title: str | None,
    metadata: Mapping[str, Any] | None,
    replace: bool = False,
    must_exist: bool = False,
) -> tuple[Identity, Upload]:
    """Which document a file is, and what came with it. `replace`: the only one of its name, where no id is given;
    `must_exist`: the one of `document_id`, which is there. Raises BadArgument."""
    if must_exist:
        who = Identity(checked_id("document_id", document_id), must_exist=True)
    else:
        who = identity_of(document_id, external_id, origin)
    path, folder = (origin.path, origin.folder) if origin else (None, None)
    upload = upload_of(file, name or path, title, metadata, folder)
    return (Identity(name=upload.source) if replace and who == NEW else who), upload


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    check_size("metadata", metadata)
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        rule = tr("tiene que poder escribirse como JSON", "it must be possible to write it as JSON")
        raise BadArgument(name="metadata", value=repr(metadata)[:40], rule=rule) from error
    return cleaned(metadata or {})


def cleaned(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {clean(str(key)): _cleaned_value(value) for key, value in metadata.items()}


def _cleaned_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return cleaned(value)
    return [_cleaned_value(one) for one in value] if isinstance(value, (list, tuple)) else value


def is_there(known: Known, upload: Upload, digest: bytes) -> bool:
    """Whether the bytes need not be read again. The name counts: it may be the title, and tells the file's kind."""
    same = known.content_hash == digest and known.document.source == upload.source
    return same and known.whole and (known.splits or upload.metadata is None)


def _name(file: File, name: str | None) -> str:
    if name is None and isinstance(file, (str, os.PathLike)):
        name = Path(file).name
    elif name is None and not isinstance(file, (bytes, bytearray, memoryview)):
        known = getattr(file, "filename", None) or getattr(file, "name", None)
        name = Path(known).name if isinstance(known, str) else None
    if name is None:
        rule = tr("hace falta: estos bytes no traen nombre", "it is needed: these bytes bring no name")
        raise BadArgument(name="name", value=None, rule=rule)
    name = clean(name)
    _check_text("name", name, LONGEST_NAME)
    return name


def place(document: StoredDocument) -> str:
    """Where a document stands in the list of its company's: the `after` of what follows."""
    return base64.urlsafe_b64encode(json.dumps([document.source, document.document_id]).encode()).decode().rstrip("=")


def place_of(after: str) -> tuple[str, str]:
    """(source, document_id) of what `place` gave. Raises BadArgument."""
    try:
        source, document_id = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        return clean(str(source)), clean(str(document_id))
    except (ValueError, TypeError, RecursionError) as error:
        rule = tr("tiene que ser el `next` de una página", "it must be the `next` of a page")
        raise BadArgument(name="after", value=after[:40], rule=rule) from error
