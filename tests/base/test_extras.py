"""Without the packages of an extra: what needs it names it, and all else works."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    extra: [requirement.partition(">=")[0] for requirement in requirements]
    for extra, requirements in PROJECT["optional-dependencies"].items()
}
USES = {
    "embedded": "from ateneo.db import embedded; embedded.start('embedded:data')",
    "langchain": "import ateneo.integrations.langchain",
    "llama-index": "import ateneo.integrations.llama_index",
}
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def without(packages: list[str], code: str, folder: Path) -> str:
    """What a process says in which those packages are not installed."""
    modules = [module for module, names in packages_distributions().items() if set(names) & set(packages)]
    assert modules, f"{packages} are part of the test environment"
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(modules=modules) + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"ATENEO_LANG": "es"},
    )
    return run.stdout + run.stderr


@pytest.mark.parametrize(("extra", "package"), [(extra, one) for extra, names in EXTRAS.items() for one in names])
def test_what_needs_an_extra_names_it(extra: str, package: str, tmp_path: Path) -> None:
    use = f"from ateneo.errors import ExtraMissing\ntry:\n    {USES[extra]}\nexcept ExtraMissing as error: print(error)"
    said = without([package], use, tmp_path)
    assert said.startswith("Falta el paquete ") and said.endswith(f". pip install 'ateneo[{extra}]'\n"), said
    assert not list(tmp_path.iterdir())


def test_a_bare_install_has_all_else(tmp_path: Path) -> None:
    packages = [package for names in EXTRAS.values() for package in names]
    command = "from ateneo.cli.main import main; sys.argv = ['ateneo', 'status']; main()"
    said = without(packages, f"import os; os.environ['DATABASE_URL'] = 'embedded'; {command}", tmp_path)
    assert "Falta el paquete" in said and "pip install 'ateneo[embedded]'" in said and "Traceback" not in said, said
    assert "Comandos" in without(packages, command.replace("status", "--help"), tmp_path)
