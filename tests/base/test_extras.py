"""Without the packages of an extra: what needs it names it, and all else works."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    extra: [re.split(r"[\[>=]", requirement)[0] for requirement in requirements]
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra != "all"
}
USES = {
    "embedded": "from ateneo.db import embedded; embedded.start('embedded:data')",
    "mcp": "import ateneo.mcp.transports",
    "openai": "from ateneo.providers import openai, tokens; tokens.count_tokens(['hola'])",
    "anthropic": "import ateneo.providers.anthropic",
    "login": "import ateneo.providers.login",
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
    modules = [module for module, names in packages_distributions().items() if {*map(str.lower, names)} & set(packages)]
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


def test_all_is_every_extra() -> None:
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert everything == f"ateneo[{','.join(EXTRAS)}]"


@pytest.mark.parametrize(
    ("extra", "settings"),
    [
        ("openai", {"OPENAI_API_KEY": "sk-none"}),
        ("openai", {"ATENEO_CHAT_PROVIDER": "openai", "ATENEO_CHAT_MODEL": "one", "ATENEO_CHAT_API_KEY": "sk-none"}),
        ("anthropic", {"ANTHROPIC_API_KEY": "sk-none"}),
    ],
    ids=["embeddings", "openai", "claude"],
)
def test_settings_that_need_an_extra_name_it(extra: str, settings: dict[str, str], tmp_path: Path) -> None:
    command = "from ateneo.cli.main import main; sys.argv = ['ateneo', 'serve']; main()"
    environment = {"DATABASE_URL": "postgresql://localhost:1/none", **settings}
    said = without(EXTRAS[extra], f"import os; os.environ.update({environment}); {command}", tmp_path)
    assert f"pip install 'ateneo[{extra}]'" in said and "Traceback" not in said, said


def test_mcp_names_its_extra(tmp_path: Path) -> None:
    said = without(EXTRAS["mcp"], "from ateneo.cli.main import main; sys.argv = ['ateneo', 'mcp']; main()", tmp_path)
    assert "pip install 'ateneo[mcp]'" in said and "Traceback" not in said, said


def test_a_bare_install_has_all_else(tmp_path: Path) -> None:
    packages = [package for names in EXTRAS.values() for package in names]
    command = "from ateneo.cli.main import main; sys.argv = ['ateneo', 'status']; main()"
    said = without(packages, f"import os; os.environ['DATABASE_URL'] = 'embedded'; {command}", tmp_path)
    assert "Falta el paquete" in said and "pip install 'ateneo[embedded]'" in said and "Traceback" not in said, said
    assert "Comandos" in without(packages, command.replace("status", "--help"), tmp_path)
