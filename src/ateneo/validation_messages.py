"""What pydantic found wrong with a value, and the system with a file, in the reader's language."""

import errno
from collections.abc import Mapping
from typing import Any

from ateneo.i18n import tr


def broken_rule(error: Mapping[str, Any]) -> str:
    """The rule that a value breaks: one of `ValidationError.errors()`."""
    kind, given = str(error["type"]), error.get("ctx", {})
    if kind == "value_error":  # raised by a validator of ours, and translated there
        return str(given.get("error", error["msg"]))
    known = _rules().get(kind)
    if known is None:
        return tr("no es un valor válido", "it is not a valid value")
    shown = {name: str(value) for name, value in given.items()}
    if "expected" in shown:
        shown["expected"] = shown["expected"].replace(" or ", tr(" o ", " or "))
    return known.format_map(shown)


def unreadable(error: OSError | ValueError) -> str:
    """Why a file or folder cannot be read or written. ValueError: it is not UTF-8, or its name is none."""
    if isinstance(error, UnicodeError):
        return tr("no es texto UTF-8", "it is not UTF-8 text")
    reasons = {
        errno.ENOENT: tr("no existe", "it does not exist"),
        errno.EACCES: tr("no hay permiso", "there is no permission"),
        errno.EPERM: tr("no hay permiso", "there is no permission"),
        errno.EISDIR: tr("es una carpeta", "it is a folder"),
        errno.ENOTDIR: tr("no es una carpeta", "it is not a folder"),
        errno.EEXIST: tr("ya existe", "it exists already"),
        errno.ENAMETOOLONG: tr("su nombre es demasiado largo", "its name is too long"),
        errno.ELOOP: tr("es un enlace que da vueltas", "it is a link that goes round"),
        errno.ENOSPC: tr("no queda lugar en el disco", "the disk is full"),
        errno.EROFS: tr("el disco es de solo lectura", "the disk is read-only"),
        errno.EMFILE: tr("hay demasiados archivos abiertos", "too many files are open"),
    }
    if not isinstance(error, OSError):
        return tr("su nombre no es posible", "its name is not possible")
    otherwise = tr("no se puede usar", "it cannot be used") + f" ({error.strerror or error})"
    return reasons.get(error.errno or 0, otherwise)


def _rules() -> dict[str, str]:
    text = tr("tiene que ser texto", "it must be text")
    whole = tr("tiene que ser un número entero", "it must be a whole number")
    number = tr("tiene que ser un número", "it must be a number")
    yes_or_no = tr("tiene que ser sí o no (true, false)", "it must be yes or no (true, false)")
    an_object = tr("tiene que ser un objeto JSON", "it must be a JSON object")
    one_of = tr("tiene que ser {expected}", "it must be {expected}")
    date = tr("tiene que ser una fecha: 2026-09-06", "it must be a date: 2026-09-06")
    moment = tr("tiene que ser una fecha con hora: 2026-09-06T10:30:00", "it must be a time: 2026-09-06T10:30:00")
    address = tr("tiene que ser una dirección (URL)", "it must be an address (URL)")
    return {
        "missing": tr("falta", "it is missing"),
        "extra_forbidden": tr("no existe ese campo", "there is no such field"),
        "string_type": text,
        "string_unicode": text,
        "string_too_short": tr(
            "le faltan caracteres (mínimo: {min_length})", "it is too short (fewest characters: {min_length})"
        ),
        "string_too_long": tr(
            "le sobran caracteres (máximo: {max_length})", "it is too long (most characters: {max_length})"
        ),
        "string_pattern_mismatch": tr("no tiene la forma {pattern}", "it is not of the form {pattern}"),
        "int_type": whole,
        "int_parsing": whole,
        "int_parsing_size": whole,
        "int_from_float": whole,
        "float_type": number,
        "float_parsing": number,
        "finite_number": number,
        "bool_type": yes_or_no,
        "bool_parsing": yes_or_no,
        "list_type": tr("tiene que ser una lista", "it must be a list"),
        "too_short": tr("le faltan elementos (mínimo: {min_length})", "it is too short (fewest items: {min_length})"),
        "too_long": tr("le sobran elementos (máximo: {max_length})", "it is too long (most items: {max_length})"),
        "literal_error": one_of,
        "enum": one_of,
        "json_invalid": tr("no es JSON válido", "it is not valid JSON"),
        "model_type": an_object,
        "model_attributes_type": an_object,
        "dict_type": an_object,
        "greater_than": tr("tiene que ser mayor que {gt}", "it must be greater than {gt}"),
        "greater_than_equal": tr("tiene que ser {ge} o más", "it must be {ge} or more"),
        "less_than": tr("tiene que ser menor que {lt}", "it must be less than {lt}"),
        "less_than_equal": tr("tiene que ser {le} o menos", "it must be {le} or less"),
        "date_type": date,
        "date_parsing": date,
        "date_from_datetime_parsing": date,
        "date_from_datetime_inexact": date,
        "datetime_type": moment,
        "datetime_parsing": moment,
        "datetime_from_date_parsing": moment,
        "path_type": tr("tiene que ser una ruta", "it must be a path"),
        "url_type": address,
        "url_parsing": address,
        "url_scheme": address,
        "uuid_parsing": tr("tiene que ser un UUID", "it must be a UUID"),
    }
