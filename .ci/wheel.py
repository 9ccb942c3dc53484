"""Builds the sdist, and the wheel from it; installs that alone outside the checkout and calls every command's help."""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
EVERY_COMMAND = """
import contextlib, io, typer
from ateneo.cli import commands, usage

def paths(command, path):
    inner = getattr(command, "commands", {})
    return [path, *(found for name, one in inner.items() for found in paths(one, [*path, name]))]

app = commands.build()
tried = paths(typer.main.get_command(app), [])
assert len(tried) > 50, tried
for path in tried:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        usage.run(app, [*path, "--help"])
    assert " ".join(["Uso: ateneo", *path]) in shown.getvalue(), path
print(f"{len(tried)} commands")
"""


def run(*command: str | Path, cwd: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ATENEO_", "PYTHON"))}
    subprocess.run(list(map(str, command)), cwd=cwd, check=True, env=clean | {"ATENEO_LANG": "es"})


def built(folder: Path) -> Path:
    """The wheel, made of what the sdist has."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=CHECKOUT)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        sdist.extractall(folder, filter="data")
    source = next(path for path in folder.iterdir() if path.is_dir())
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    return next(folder.glob("*.whl"))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = built(folder)
        venv.create(folder / "empty", with_pip=True)
        binaries = folder / "empty" / "bin"
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
        run(binaries / "python", *install, wheel, cwd=folder)
        run(binaries / "ateneo", "--version", cwd=folder)
        run(binaries / "python", "-c", EVERY_COMMAND, cwd=folder)
        files = [path for path in (folder / "empty").rglob("*") if path.is_file() and not path.is_symlink()]
        ours = [path for path in files if not {"pip", "setuptools", "pkg_resources"} & set(path.parts)]
        print(f"{sum(path.stat().st_size for path in ours) / 1e6:.0f} MB installed")


if __name__ == "__main__":
    main()
