"""Only regular files below their folder are opened, whatever stands under a name and whenever it is put there."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ateneo.errors import BadArgument
from ateneo.ingestion.file_bytes import file_bytes
from ateneo.ingestion.regular_file import open_regular

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def text(path: Path, below: Path) -> str:
    with open_regular(path, below) as opened:
        return opened.read().decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("a", encoding="ascii")
    (tmp_path / "secret.txt").write_text("secreto", encoding="ascii")
    return tmp_path / "in"


def test_a_link_that_stays_below_the_folder_is_followed(folder: Path) -> None:
    (folder / "sub" / "link.txt").symlink_to(folder / "a.txt")
    (folder / "..data").symlink_to("sub")
    (folder / "mounted.txt").symlink_to("..data/link.txt")
    assert text(folder / "sub" / "link.txt", folder) == text(folder / "mounted.txt", folder) == "a"


def outside(folder: Path) -> Path:
    (folder / "x.txt").symlink_to("../secret.txt")
    return folder / "x.txt"


def by_a_folder(folder: Path) -> Path:
    (folder / "up").symlink_to("..")
    return folder / "up" / "secret.txt"


def by_dots(folder: Path) -> Path:
    return folder / ".." / "secret.txt"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "x.txt")
    return folder / "x.txt"


def listening(folder: Path) -> Path:
    before = Path.cwd()
    os.chdir(folder)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("x.txt")
    finally:
        os.chdir(before)
    return folder / "x.txt"


@pytest.mark.parametrize("make", [outside, by_a_folder, by_dots, pipe, listening, lambda folder: folder / "sub"])
def test_everything_else_is_refused_by_its_name(folder: Path, make: Callable[[Path], Path]) -> None:
    path = make(folder)
    with pytest.raises(BadArgument, match=path.name):
        open_regular(path, folder)


@needs_proc
@pytest.mark.parametrize("path", ["/proc/self/environ", "/sys/kernel/mm/transparent_hugepage/enabled", "/dev/null"])
def test_the_kernel_s_own_files_are_refused_even_where_they_are_named(path: str) -> None:
    if not Path(path).exists():
        pytest.skip("not on this machine")
    with pytest.raises(BadArgument, match="no es un archivo común"):
        open_regular(Path(path), Path(path).parent)


@needs_proc
def test_a_link_put_there_between_the_check_and_the_opening_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = os.path.realpath

    def swapping(path: Path) -> str:
        found = resolve(path)
        if Path(path).name == "a.txt":
            (folder / "a.txt").unlink()
            (folder / "a.txt").symlink_to("/proc/self/environ")
        return str(found)

    monkeypatch.setattr(os.path, "realpath", swapping)
    with pytest.raises(BadArgument):
        open_regular(folder / "a.txt", folder)


async def test_a_path_from_python_is_opened_below_its_own_folder(folder: Path) -> None:
    assert await file_bytes(folder / "a.txt", "a.txt", 100) == b"a"
    with pytest.raises(BadArgument, match="sale de su carpeta"):
        await file_bytes(outside(folder), "x.txt", 100)
