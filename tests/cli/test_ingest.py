"""`ateneo ingest` of folders that change, of bad files, and `ateneo documents`: real processes on a real database."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.run import ATENEO, ateneo, environment
from tests.providers.server import Fault, ProviderServer

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer(dims=8) as server:
        yield server


@pytest.fixture
def run(database_url: str, provider: ProviderServer) -> Run:
    def call(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        key = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url, "ATENEO_EMBEDDING_MODEL": "m"}
        done = ateneo(arguments[0], *arguments[1:], "-e", "acme", url=database_url, **key | environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **files: str | bytes) -> Path:
        for file, text in files.items():
            path = tmp_path / name / file.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / name

    return make


def listed(run: Run) -> list[dict[str, Any]]:
    return json.loads(run("documents", "list", "--json").stdout)  # type: ignore[no-any-return]


def names(run: Run) -> list[tuple[str | None, str]]:
    return sorted((one["origin"], one["source"]) for one in listed(run))


def test_two_folders_with_one_file_name(run: Run, folder: Callable[..., Path]) -> None:
    f1, f2 = folder("f1", contrato_txt="El contrato del norte."), folder("f2", contrato_txt="El contrato del sur.")
    assert "1 nuevo," in run("ingest", str(f1)).stdout
    assert "1 nuevo," in run("ingest", str(f2)).stdout
    assert names(run) == [("f1", "contrato.txt"), ("f2", "contrato.txt")]
    assert "2 sin cambios" in run("ingest", str(f1), str(f2)).stdout
    # a file that is named is the one of its folder
    (f1 / "contrato.txt").write_text("El contrato nuevo del norte.")
    assert "1 actualizado" in run("ingest", str(f1 / "contrato.txt")).stdout
    assert "1 sin cambios" in run("ingest", str(f2 / "contrato.txt")).stdout
    assert len(listed(run)) == 2


def test_files_that_are_named_alone(run: Run, folder: Callable[..., Path]) -> None:
    f1, f2 = folder("f1", contrato_txt="El contrato del norte."), folder("f2", contrato_txt="El contrato del sur.")
    for path in (f1, f2):
        assert "1 nuevo," in run("ingest", str(path / "contrato.txt")).stdout
        assert "1 sin cambios" in run("ingest", str(path / "contrato.txt")).stdout
    assert "2 sin cambios" in run("ingest", str(f1), str(f2)).stdout


def test_two_folders_of_one_name(run: Run, folder: Callable[..., Path]) -> None:
    north = folder("norte/contratos", a_md="# Norte\n\nEl contrato del norte.")
    south = folder("sur/contratos", a_md="# Sur\n\nEl contrato del sur.")
    run("ingest", str(north))
    second = run("ingest", str(south))
    assert "1 nuevo," in second.stdout
    assert "sur/contratos" in second.stderr
    assert names(run) == [("contratos", "a.md"), ("sur/contratos", "a.md")]
    both = run("ingest", str(south), str(north))
    assert "2 sin cambios" in both.stdout
    assert both.stderr.count("contratos") == 0 or "es otra carpeta" not in both.stderr
    # a folder that was moved is the one that it was, and this is said
    moved = north.rename(north.parent.parent / "contratos")
    after = run("ingest", str(moved))
    assert "1 sin cambios" in after.stdout
    assert "ahora se lee de" in after.stderr
    assert len(listed(run)) == 2


def test_a_folder_and_the_one_above_it(run: Run, folder: Callable[..., Path]) -> None:
    top = folder("todo", sub__a_md="# A\n\nEl texto de a.", b_md="# B\n\nEl texto de b.")
    run("ingest", str(top / "sub"))
    assert "1 nuevo, 0 actualizados, 1 sin cambios" in run("ingest", str(top)).stdout
    assert names(run) == [("sub", "a.md"), ("todo", "b.md")]


def test_a_source_by_its_own_name(run: Run, folder: Callable[..., Path]) -> None:
    here, there = folder("a", x_md="# X\n\nEl texto de x."), folder("b", x_md="# X\n\nEl texto de x.")
    run("ingest", str(here), "--source", "manuales")
    assert "1 sin cambios" in run("ingest", str(there), "--source", "manuales").stdout
    assert names(run) == [("manuales", "x.md")]
    assert run("ingest", str(here), str(there), "--source", "manuales").returncode == 2
    assert run("ingest", str(here), "--source", " ").returncode == 2


def test_a_file_that_is_gone_and_one_that_was_renamed(run: Run, folder: Callable[..., Path]) -> None:
    place = folder("w", descuentos_md="# Descuentos\n\nDoce por ciento.", fletes_md="# Fletes\n\nDel cliente.")
    run("ingest", str(place))
    (place / "descuentos.md").unlink()
    (place / "fletes.md").rename(place / "fletes-2025.md")
    told = run("ingest", str(place))
    assert told.returncode == 0
    assert "1 nuevo," in told.stdout
    assert "w: descuentos.md" in told.stderr
    assert "--prune" in told.stderr
    assert len(listed(run)) == 3
    # what a named file was stays, as long as it is there, whatever its kind
    (place / "notas.log").write_text("Una nota que no es de las que se leen de una carpeta.")
    run("ingest", str(place / "notas.log"))
    assert "2 borrados" in run("ingest", str(place), "--prune").stdout
    assert names(run) == [("w", "fletes-2025.md"), ("w", "notas.log")]
    for path in place.iterdir():
        path.unlink()
    assert run("ingest", str(place), "--prune").returncode == 2  # an empty listing deletes nothing
    assert len(listed(run)) == 2


def test_documents_are_shown_and_deleted(run: Run, folder: Callable[..., Path]) -> None:
    run("ingest", str(folder("w", a_md="# A\n\nEl texto de a.", b_md="# B\n\nEl texto de b.")))
    first, second = listed(run)
    shown = run("documents", "list")
    assert first["document_id"] in shown.stdout.replace("\n", "")
    assert json.loads(run("documents", "show", first["document_id"]).stdout) == first
    assert run("documents", "delete", first["document_id"]).returncode == 2  # nobody can answer
    assert run("documents", "delete", first["document_id"], "nada", "--yes").returncode == 2
    assert len(listed(run)) == 2
    assert "1 documento borrado" in run("documents", "delete", first["document_id"], "--yes").stdout
    assert listed(run) == [second]
    assert run("documents", "list", "--source", "otra", "--json").stdout.strip() == "[]"


def test_bad_files_never_end_a_folder(run: Run, folder: Callable[..., Path], provider: ProviderServer) -> None:
    place = folder(
        "w",
        a_md="# A\n\nEl texto de a.",
        b_pdf=b"%PDF-1.7 no",
        c_md=b"",
        d_md="# D\n\nEl texto de d.",
        foto_png=b"\x89PNG",
    )
    closed = place / "cerrado.md"
    closed.symlink_to(place / "no-existe.md")
    deep = place.joinpath(*["x" * 200] * 3)
    deep.mkdir(parents=True)
    (deep / "largo.md").write_text("# Largo\n\nUna ruta que es demasiado larga.")
    for number in (b"\xff", b"\xfe"):  # names that are no UTF-8 are two names
        strange = Path(os.fsdecode(os.fsencode(place) + b"/n" + number + b".md"))
        strange.write_bytes(b"# N\n\nUn nombre raro " + number.hex().encode())
    run_ = run("ingest", str(place))
    assert run_.returncode == 3
    assert "4 nuevos" in run_.stdout
    for name in ("b.pdf", "c.md", "largo.md", "foto.png", "cerrado.md"):
        assert name in run_.stderr, run_.stderr
    again = run("ingest", str(place), "--prune")
    assert "4 sin cambios" in again.stdout
    assert "borrado" not in again.stdout
    assert len(listed(run)) == 4


def test_pages_without_text_are_said(run: Run) -> None:
    file = str(Path(__file__).parents[1] / "files" / "documents" / "13" / "expediente_mixto.pdf")
    done = run("ingest", file, ATENEO_OCR="off")
    assert done.returncode == 0
    assert "expediente_mixto.pdf: páginas sin texto: 2, 3" in done.stderr
    done = run("ingest", file, "--force")
    assert "expediente_mixto.pdf: páginas leídas por OCR: 2, 3 (confianza 9" in done.stderr


def test_an_empty_folder_and_a_name_that_cannot_be(run: Run, folder: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "vacia").mkdir()
    for path in (tmp_path / "vacia", folder("fotos", a_png=b"x"), tmp_path / ("x" * 300), tmp_path / "nada"):
        done = run("ingest", str(path))
        assert done.returncode == 2, done
        assert "RUTA" in done.stderr
    assert "a.png" in run("ingest", str(tmp_path / "fotos")).stderr


def test_a_text_that_the_provider_refuses_is_one_file(
    run: Run, folder: Callable[..., Path], provider: ProviderServer
) -> None:
    place = folder("w", a_md="# A\n\nEl texto de a.", b_md="# B\n\nEl texto de b.", c_md="# C\n\nEl texto de c.")
    run("ingest", str(folder("z", z_md="# Z\n\nEl texto de z.")))  # the generation is made
    provider.script(Fault.OK, Fault.BAD_REQUEST)
    done = run("ingest", str(place))
    assert done.returncode == 3, done.stderr
    assert "2 nuevos" in done.stdout
    assert "b.md" in done.stderr


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.SERVER_ERROR])
def test_a_provider_that_is_down_for_all_stops_it_early(
    run: Run, folder: Callable[..., Path], provider: ProviderServer, fault: Fault
) -> None:
    place = folder("w", **{f"n{n}_md": f"# N\n\nEl texto número {n}." for n in range(9)})
    run("ingest", str(place / "n0.md"))
    calls = provider.calls
    provider.script(Fault.OK)
    provider.otherwise = fault
    done = run("ingest", str(place), ATENEO_EMBEDDING_RETRIES="0")
    assert done.returncode == 1, done.stderr
    assert "1 nuevo, 0 actualizados, 1 sin cambios" in done.stdout
    assert "el mismo comando sigue" in done.stderr
    assert provider.calls <= calls + 5
    provider.otherwise = Fault.OK
    assert "7 nuevos, 0 actualizados, 2 sin cambios" in run("ingest", str(place)).stdout


def test_ctrl_c_keeps_what_was_done(
    database_url: str, run: Run, folder: Callable[..., Path], provider: ProviderServer
) -> None:
    place = folder("w", **{f"n{n}_md": f"# N\n\nEl texto número {n}." for n in range(5)})
    run("ingest", str(place / "n0.md"))
    provider.gate.clear()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ATENEO_", "OPENAI_"))} | {
        "DATABASE_URL": database_url, "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url,
        "ATENEO_EMBEDDING_MODEL": "m", "ATENEO_SECRETS_FILE": "/nonexistent",
    }  # fmt: skip
    command = [sys.executable, ATENEO, "ingest", str(place), "-e", "acme"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not provider.in_flight:
        threading.Event().wait(0.05)
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=60)
    provider.gate.set()
    assert process.returncode == 130, told
    assert "1 sin cambios" in said
    assert "el mismo comando sigue" in told
    assert "Traceback" not in told
    assert "4 nuevos, 0 actualizados, 1 sin cambios" in run("ingest", str(place)).stdout


def test_a_link_to_what_is_no_document_is_not_stored(run: Run, folder: Callable[..., Path]) -> None:
    place = folder("w", a_md="# A\n\nEl texto de a.")
    (place / "env.txt").symlink_to("/proc/self/environ")
    os.mkfifo(place / "tubo.txt")
    done = run("ingest", str(place))
    assert done.returncode == 3
    assert "env.txt" in done.stderr and "tubo.txt" in done.stderr
    assert [one["source"] for one in listed(run)] == ["a.md"]


def in_folder(place: Path, *arguments: str, url: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in environment(url).items() if name != "ATENEO_SECRETS_FILE"}
    command = [ATENEO, "ingest", "-e", "acme", *arguments]
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_settings_that_come_with_the_files_are_not_read(bare_url: str, folder: Callable[..., Path]) -> None:
    place = folder("w", sub__a_md="# A\n\nEl texto de a.")
    (place / ".env").write_text("DATABASE_URL=postgresql://x@127.0.0.1:1/robada\nATENEO_RERANKER=nada\n")
    for where, tree in ((place, "."), (place / "sub", ".."), (place, str(place.parent))):
        if not (where / ".env").exists():
            (where / ".env").write_text("ATENEO_RERANKER=nada\n")
        done = in_folder(where, tree, url=bare_url)
        assert done.returncode == 2
        assert ".env" in done.stderr and "no se lee" in done.stderr
    (place / "sub" / ".env").unlink()
    done = in_folder(place, "sub", url=bare_url)  # beside what is read: as documented
    assert "ATENEO_RERANKER" in done.stderr
