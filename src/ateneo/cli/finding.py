"""What a check of `ateneo doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`ok` None is a remark: nothing is broken, but something is worth knowing."""

    ok: bool | None
    what: str
    remedy: str = ""
