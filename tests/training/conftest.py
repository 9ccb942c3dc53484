"""training/ is a folder of scripts and no package: its modules are imported by their own names."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of training/; `torch` is not among the tests' requirements, so modules that need it skip."""
    monkeypatch.syspath_prepend(str(TRAINING))

    def load(name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if (error.name or "") in sys.stdlib_module_names or (TRAINING / f"{error.name}.py").exists():
                raise
            pytest.skip(f"training/{name}.py needs {error.name}")

    return load
