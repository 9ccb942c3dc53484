"""What commands show to programs."""

import codecs
import dataclasses
import json
import sys
from typing import Any

from ateneo.text.clean import escaped


def print_json(value: object) -> None:
    """One JSON document on stdout, in ASCII where stdout is not UTF-8; dataclasses as objects."""
    unicode = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    text = json.dumps(value, ensure_ascii=not unicode, indent=2, default=_plain)
    sys.stdout.write(escaped(text) + "\n")


def _plain(value: Any) -> object:
    known = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if known else str(value)
