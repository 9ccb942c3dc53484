"""The language of messages: the one setting that has to be known before anything is said, and before pydantic loads."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ateneo.i18n import Lang

_NAME = "ATENEO_LANG"


def secrets_file(given: Path | None = None) -> Path:
    """The one that was given, or that `ATENEO_SECRETS_FILE` names, or `.env`."""
    return given or Path(os.environ.get("ATENEO_SECRETS_FILE", ".env"))


def language(secrets: Path | None = None) -> Lang:
    """The language of messages, whatever is wrong with the settings; "es" where that is what is wrong."""
    value = _value(os.environ) or _value(_read(secrets_file(secrets)))
    return cast("Lang", value) if value in ("es", "en") else "es"


def _value(variables: Mapping[str, str | None]) -> str:
    return next((value.strip() for name, value in variables.items() if name.upper() == _NAME and value), "")


def _read(file: Path) -> Mapping[str, str | None]:
    if not file.is_file():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(file, encoding="utf-8")
