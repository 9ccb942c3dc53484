"""A copy of the source tree with an environment of its own, in which one mutant at a time is tried."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant

_SCRIPT = "#!{python}\nfrom ateneo.cli.main import main\n\nmain()\n"


class Red(Exception):
    """A test fails without any mutant: what it says of one is nothing."""


class Workplace:
    """`folder`: where the copy is made. Its environment has the packages of this one, and the copy as Ateneo."""

    def __init__(self, folder: Path) -> None:
        self._tree = folder / "tree"
        folder.chmod(0o755)  # the processes that read files are another user's
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        for name in filter(None, files.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (self._tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self._tree / name)
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        python = folder / "venv" / "bin" / "python"
        packages = folder / "venv" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        # the .pth files of the folder named are not read, so that the Ateneo installed there is not seen
        lines = [self._tree / "src", self._tree / "backend", sysconfig.get_path("purelib")]
        (packages / "copy.pth").write_text("".join(f"{line}\n" for line in lines))
        (python.parent / "ateneo").write_text(_SCRIPT.format(python=python))
        (python.parent / "ateneo").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._environment = kept | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
        self._command = [str(python), "tests/mutants/worker.py"]
        self._workers: dict[str, subprocess.Popen[str]] = {}
        self._green: dict[tuple[str, ...], set[str]] = {}

    def _worker(self, language: str) -> subprocess.Popen[str]:
        if language not in self._workers:
            command = [*self._command, *(["--ateneo"] if language == "sql" else [])]
            self._workers[language] = subprocess.Popen(
                command, cwd=self._tree, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._workers[language]

    def attempt(self, mutant: Mutant, tests: Sequence[str], timeout_s: int) -> str:
        """The test that noticed it, "" where none did. Raises Red."""
        file = self._tree / "src" / "ateneo" / mutant.path
        language = file.suffix.removeprefix(".")
        source = file.read_text(encoding="utf-8")
        file.write_text(mutant.applied(source), encoding="utf-8")
        try:
            failed, _ = self._run(language, tests, timeout_s)
        finally:
            file.write_text(source, encoding="utf-8")
        if failed:
            self.require_green(language, tests, failed, timeout_s)
        return failed

    def require_green(self, language: str, tests: Sequence[str], noticed: str, timeout_s: int) -> None:
        """Raises Red where the tests fail without any mutant, up to the one that noticed."""
        green = self._green.setdefault((language, *tests), set())
        if noticed in green:
            return
        failed, passed = self._run(language, tests, timeout_s, noticed if "::" in noticed else "")
        green |= {*passed, *([] if failed else [noticed])}
        if noticed not in green:
            raise Red(failed)

    def _run(self, language: str, tests: Sequence[str], timeout_s: int, until: str = "") -> tuple[str, list[str]]:
        worker = self._worker(language)
        assert worker.stdin and worker.stdout
        worker.stdin.write(json.dumps({"tests": list(tests), "timeout_s": timeout_s, "until": until}) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        if not line:
            sys.exit("the worker ended")
        failed, passed = json.loads(line)
        return failed, passed

    def close(self) -> None:
        for worker in self._workers.values():
            assert worker.stdin
            worker.stdin.close()
            worker.wait()
