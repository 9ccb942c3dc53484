"""Files read in processes of their own: what hangs, crashes or fills one of them, and what becomes of the others."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.files.make import docx, pdf

from ateneo.errors import BadArgument, DocumentCorrupt, DocumentEncrypted, DocumentTooLarge, DocumentTooSlow, ModelError
from ateneo.ingestion.chunking import chunk
from ateneo.ingestion.parsing import sandbox
from ateneo.ingestion.parsing.parse import parse
from ateneo.ingestion.parsing.sandbox import read_file
from ateneo.types import Chunk, Document

LIMIT = 100_000_000
TEXT = b"# Uno\n\nHola a todos y a todas. El plazo es de diez."

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")


class Words:
    """Counts words; `then` is called before, while a reader waits for the answer."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.then = then

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        self.then()
        return [len(text.split()) + 2 for text in texts]


async def read(
    data: bytes = TEXT, name: str = "a.md", counter: Words | None = None, *, timeout_s: float = 60
) -> tuple[Document, list[Chunk]]:
    return await read_file(
        data, name, counter or Words(), max_bytes=LIMIT, timeout_s=timeout_s, max_tokens=64, overlap=8
    )


def readers(parent: int | None = None) -> set[int]:
    """Processes that `parent` (this one) has started to read files."""
    parent = parent or os.getpid()
    listed = [path.read_text(encoding="ascii") for path in Path(f"/proc/{parent}/task").glob("*/children")]
    children = {int(pid) for pids in listed for pid in pids.split()}
    return {pid for pid in children if b"ateneo.ingestion.parsing.reader" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def gone(pid: int) -> bool:
    """Waits until the process has ended; False where it does not."""
    for _ in range(3000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("data", "name"),
    [(TEXT, "a.md"), (docx(["Hola a todos."]), "a.docx"), (pdf([["Hola a todas."]]), "a.pdf")],
    ids=["md", "docx", "pdf"],
)
async def test_a_reader_reads_what_parse_and_chunk_read(data: bytes, name: str) -> None:
    expected = parse(data, name, max_bytes=LIMIT)
    document, chunks = await read(data, name)
    assert chunks == chunk(expected, Words(), max_tokens=64, overlap=8)
    assert (document.title, document.mime, document.pages) == (expected.title, expected.mime, expected.pages)


async def test_a_reader_tells_the_language() -> None:
    document, _ = await read(b"El plazo de la licencia es de diez d\xc3\xadas, seg\xc3\xban la ley y con sus anexos.")
    assert document.metadata["language"] == "es"
    document, _ = await read(b"---\nlanguage: pt-BR\n---\nxyz")
    assert document.metadata["language"] == "pt"


async def test_a_reader_gives_the_same_errors() -> None:
    with pytest.raises(DocumentEncrypted) as caught:
        await read(pdf([["Secreto."]], encrypted=True), "clave.pdf")
    assert caught.value.fields == {"name": "clave.pdf"}
    with pytest.raises(DocumentTooLarge):
        await read_file(TEXT, "a.md", Words(), max_bytes=3, timeout_s=60, max_tokens=64, overlap=8)
    with pytest.raises(BadArgument):
        await read_file(TEXT, "a.md", Words(), max_bytes=LIMIT, timeout_s=60, max_tokens=3, overlap=8)


async def test_what_the_counter_raises_is_raised() -> None:
    def fails() -> None:
        raise ModelError(folder="m", detail="falta.")

    with pytest.raises(ModelError):
        await read(counter=Words(fails))
    assert (await read())[1]


async def test_a_large_file_comes_whole_through_the_pipes() -> None:
    text = "".join(f"La regla número {n} dice que el plazo es de {n} días.\n\n" for n in range(40_000))
    _, chunks = await read(text.encode(), "a.txt")
    assert "".join("".join(one.contenido.split()) for one in chunks) == "".join(text.split())


@needs_proc
async def test_one_reader_reads_one_file_after_another() -> None:
    for _ in range(20):
        await read()
    assert len(readers()) <= min(os.cpu_count() or 1, 4)


@needs_proc
async def test_files_at_the_same_time_share_a_few_readers() -> None:
    found = await asyncio.gather(*(read(name=f"{n}.txt") for n in range(50)))
    assert [document.title for document, _ in found] == [f"{n}.txt" for n in range(50)]
    assert 1 <= len(readers()) <= 4


def own_reader() -> int:
    """The reader that the counter's thread is waiting for."""
    return int(sandbox._own.process._process.pid)


def doing(action: Callable[[int], object]) -> tuple[Words, list[int]]:
    """A counter that does something to the reader that asks, and the reader's pid."""
    done: list[int] = []

    def act() -> None:
        done.append(own_reader())
        action(done[-1])

    return Words(act), done


@needs_proc
async def test_a_reader_that_hangs_is_ended_and_costs_its_own_file_only() -> None:
    counter, hung = doing(lambda pid: os.kill(pid, signal.SIGSTOP))
    with pytest.raises(DocumentTooSlow, match=r"lento.*más de 0,5 s"):
        await read(name="lento.md", counter=counter, timeout_s=0.5)
    assert [gone(pid) for pid in hung] == [True]
    assert (await read())[1]


@needs_proc
async def test_a_reader_that_crashes_costs_its_own_file_only() -> None:
    counter, crashed = doing(lambda pid: os.kill(pid, signal.SIGSEGV))
    with pytest.raises(DocumentCorrupt, match=r"roto.*falló"):
        await read(name="roto.md", counter=counter)
    assert gone(crashed[0])
    assert (await read())[1]


@needs_proc
async def test_a_reader_that_ended_between_two_files_costs_none() -> None:
    await read()
    for pid in readers():
        os.kill(pid, signal.SIGKILL)
    assert (await read())[1]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="sets another process's limit")
async def test_a_file_that_takes_too_much_memory_costs_itself_only() -> None:
    await read()
    for pid in readers():
        taken = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (taken + 100 * 1024**2, taken + 100 * 1024**2))
    with pytest.raises((DocumentTooLarge, DocumentCorrupt), match=r"grande.*(memoria|falló)"):  # it may end in any line
        await read("Sí. ".encode() * 1_000_000, "grande.txt")
    assert (await read())[1]
    for pid in readers():  # the others keep the limit that was set here
        os.kill(pid, signal.SIGKILL)


async def test_a_small_file_of_much_text_is_refused_before_it_is_cut() -> None:
    text = "".join(f"El plazo {n} es de {n * 7919 % 9973}. " for n in range(900_000))
    with pytest.raises(DocumentTooLarge, match=r"grande.docx.*caracteres"):
        await read(docx([text]), "grande.docx", Words(lambda: pytest.fail("nothing is counted")))


@needs_proc
async def test_a_reader_whose_caller_gives_up_is_ended() -> None:
    asked, answer = threading.Event(), threading.Event()
    stuck: list[int] = []

    def wait() -> None:
        stuck.append(own_reader())
        asked.set()
        answer.wait()

    task = asyncio.create_task(read(counter=Words(wait)))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer.set()
    assert await asyncio.to_thread(gone, stuck[0])
    assert (await read())[1]


def test_every_event_loop_may_read() -> None:
    found: list[str] = []

    def run(name: str) -> None:
        found.append(asyncio.run(read(name=name))[0].title)

    threads = [threading.Thread(target=run, args=(f"{n}.txt",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run("fin.txt")
    assert sorted(found) == sorted([*(f"{n}.txt" for n in range(6)), "fin.txt"])


# --- what a reader is given ---------------------------------------------------------------------------------------


@needs_proc
async def test_a_reader_is_given_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secreto")
    await read()
    for pid in readers():
        os.kill(pid, signal.SIGKILL)
    await read()
    assert readers()
    assert not any(b"secreto" in Path(f"/proc/{pid}/environ").read_bytes() for pid in readers())


SCRIPT = """
import asyncio, os, sys, time
from ateneo.ingestion.parsing.sandbox import read_file

class Words:
    def count_tokens(self, texts):
        return [len(text.split()) + 2 for text in texts]

class Waits:
    def count_tokens(self, texts):
        print("asked", flush=True)
        time.sleep(600)

def read(data, name, counter=Words()):
    return asyncio.run(read_file(data, name, counter, max_bytes=10**8, timeout_s=60, max_tokens=64, overlap=8))
"""


def script(text: str, folder: Path) -> "subprocess.Popen[str]":
    paths = os.pathsep.join(path for path in sys.path if Path(path).is_absolute())
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT + text],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_reader_imports_nothing_from_the_working_folder(tmp_path: Path) -> None:
    imported = tmp_path / "imported"
    (tmp_path / "kreuzberg.py").write_text(f"open({str(imported)!r}, 'w')", encoding="utf-8")
    made = tmp_path / "a.pdf"
    made.write_bytes(pdf([["Hola a todas."]]))
    with script("print(read(open('a.pdf', 'rb').read(), 'a.pdf')[1][0].contenido)", tmp_path) as process:
        assert process.communicate()[0].strip() == "Hola a todas."
    assert not imported.exists()


@needs_proc
@pytest.mark.parametrize("text", ["read(b'Hola.', 'a.md')\nprint('asked', flush=True)\ntime.sleep(600)",
                                  "read(b'Hola.', 'a.md', Waits())"], ids=["idle", "busy"])  # fmt: skip
def test_a_reader_ends_with_its_parent(tmp_path: Path, text: str) -> None:
    with script(text, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        left = readers(process.pid)
        assert len(left) == 1
        process.kill()
    assert all(gone(pid) for pid in left)


@needs_proc
def test_a_fork_has_readers_of_its_own(tmp_path: Path) -> None:
    text = """
read(b'Hola.', 'a.md')
if os.fork() == 0:
    print(read(b'Hola.', 'hijo.md')[0].title, flush=True)
    os._exit(0)
os.wait()
print(read(b'Hola.', 'madre.md')[0].title)
"""
    with script(text, tmp_path) as process:
        assert process.communicate()[0].split() == ["hijo.md", "madre.md"]
