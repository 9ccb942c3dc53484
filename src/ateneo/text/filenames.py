"""Names of files and folders made from ids that anybody may have chosen."""

import hashlib
import re

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_OTHER = re.compile(r"[^A-Za-z0-9_-]+")


def file_name(id: str) -> str:
    """A name for any file system, another one for each id: the id itself where it is plain (small letters, digits,
    hyphens), else what is left of it, a tilde and its digest."""
    if _PLAIN.fullmatch(id):
        return id
    digest = hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_OTHER.sub('-', id)[:60].strip('-') or 'x'}~{digest}".lower()
