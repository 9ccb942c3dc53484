"""What `ateneo doctor` finds of the processes that read files: what confines them on this machine."""

import os

from ateneo.cli.finding import Finding
from ateneo.errors import ReaderUnavailable
from ateneo.i18n import tr
from ateneo.ingestion.parsing.confinement import CALLS, FILES, USER
from ateneo.ingestion.parsing.sandbox import confined_by


async def confinement() -> Finding:
    try:
        held = await confined_by()
    except ReaderUnavailable as error:
        return Finding(False, error.message, error.remedy)
    missing = [what for name, what in _meanings().items() if name not in held]
    if not missing:
        return Finding(True, tr(f"Lectores de archivos aislados: {', '.join(held)}.",
                                f"Readers of files confined: {', '.join(held)}."))  # fmt: skip
    what = "; ".join(missing)
    remedy = tr("Qué protege igual: docs/security/operator.md, «Hostile files».",
                "What holds all the same: docs/security/operator.md, “Hostile files”.")  # fmt: skip
    return Finding(None, tr(f"Lectores de archivos: {what}.", f"Readers of files: {what}."), remedy)


def _meanings() -> dict[str, str]:
    """What it means where a confinement is missing."""
    known = {
        FILES: tr(
            "sin Landlock (Linux 5.13), pueden leer lo que lee este usuario",
            "without Landlock (Linux 5.13), they can read what this user can",
        ),
        CALLS: tr(
            "sin seccomp, pueden abrir conexiones y ejecutar programas",
            "without seccomp, they can open connections and run programs",
        ),
    }
    if os.geteuid() == 0:
        known[USER] = tr(
            "son root, porque nadie más puede leer el Python instalado",
            "they are root, since nobody else can read the Python installed",
        )
    return known
