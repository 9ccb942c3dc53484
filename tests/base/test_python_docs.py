"""The Python of the README and of docs/how-to/python.md runs as it stands there, in both languages."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "README.es.md", "docs/how-to/python.md", "docs/es/how-to/python.md")
PDF = ROOT / "examples" / "textil-pampa" / "files" / "facturacion-y-cobranzas.pdf"


def _programs(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_it_runs(page: str, database_url: str, tmp_path: Path) -> None:
    shutil.copy(PDF, tmp_path / "manual.pdf")
    programs = _programs(page)
    assert programs
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(programs)],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": str(ROOT / "src"), "ATENEO_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "factura" in run.stdout.lower()


def test_both_languages_have_the_same_programs() -> None:
    for english, spanish in zip(PAGES[::2], PAGES[1::2], strict=True):
        assert _without_comments(english) == _without_comments(spanish)


def _without_comments(page: str) -> list[str]:
    return [re.sub(r"\s+#.*", "", program) for program in _programs(page)]
