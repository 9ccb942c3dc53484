"""What a check of `ateneo doctor` or `ateneo db check` found, and how it is shown."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from ateneo.cli.runtime import out

_SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("!", "yellow")}


@dataclass(frozen=True, slots=True)
class Finding:
    """`ok` None is a remark: nothing is broken, but something is worth knowing."""

    ok: bool | None
    what: str
    remedy: str = ""


def show(finding: Finding) -> None:
    """The finding behind its sign, and what to do about it below."""
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row(Text.assemble(_SIGNS[finding.ok]), Text(finding.what))
    if finding.remedy:
        row.add_row("", Text(finding.remedy, style="dim"))
    out.print(row)
