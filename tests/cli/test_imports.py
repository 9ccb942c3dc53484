"""A command loads what it uses: counted, since times are not asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "ateneo" / "cli"
VENDORS = {
    "anthropic",
    "fastapi",
    "huggingface_hub",
    "kreuzberg",
    "mcp",
    "onnxruntime",
    "openai",
    "starlette",
    "tokenizers",
    "uvicorn",
}
HEAVY = VENDORS | {"asyncio", "asyncpg", "importlib.metadata", "numpy", "pydantic", "pydantic_settings", "structlog"}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "models"))
"""`models` alone reads model folders, and so loads what runs them."""


def loaded(code: str) -> set[str]:
    """Which of the heavy modules a process has loaded after `code`."""
    watch = f"import json, sys\n{code}\nprint(json.dumps([name for name in {sorted(HEAVY)} if name in sys.modules]))"
    run = subprocess.run(
        [sys.executable, "-c", watch], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"}
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], []], ids=str)
def test_the_list_of_commands_loads_nothing_heavy(arguments: list[str]) -> None:
    run = f"""
from ateneo.cli.main import main
sys.argv = ["ateneo", *{arguments}]
try: main()
except SystemExit: pass
"""
    assert loaded(run) == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_command_loads_no_vendor_before_it_is_chosen(module: str) -> None:
    assert not loaded(f"import ateneo.cli.{module}") & VENDORS
