"""What a person meets before a command begins: help, mistakes in a call, Ctrl-C, and terminals that lack letters."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.run import ATENEO, ateneo, ateneo_process
from tests.cli.test_cli import MANUAL

import ateneo as package

EVERY_CALL = """
import contextlib, io, json
import typer
from ateneo.cli import runtime
runtime.prepare()
from ateneo.cli import commands, usage
app = commands.build()

def leaves(command, path):
    inner = getattr(command, "commands", {})
    return [leaf for name, one in inner.items() for leaf in leaves(one, [*path, name])] if inner else [(path, command)]

def said(arguments):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        try:
            usage.run(app, arguments)
            code = 0
        except SystemExit as end:
            code = end.code
    return [arguments, code, shown.getvalue()]

found = [said(["--help"]), said(["nada"]), said(["serach"]), said(["--nada"]), said(["db"]), said(["db", "upgrad"])]
for path, command in leaves(typer.main.get_command(app), []):
    found += [said([*path, "--help"]), said([*path, "--nada"])]
    for one in command.params:
        if one.param_type_name == "option" and not one.is_flag:
            found += [said([*path, one.opts[0]])]
            if one.type_descriptor.annotation in (int, float):
                found += [said([*path, one.opts[0], "equis"]), said([*path, one.opts[0], "-1000000"])]
        elif one.param_type_name == "option":
            found += [said([*path, one.opts[-1] + "=x"])]
    if command.params and any(one.required for one in command.params):
        found += [said(list(path))]
    else:
        found += [said([*path, "a", "b", "c"])]
print(json.dumps([one for one in found if one[2]]))
"""
ENGLISH = re.compile(
    r"\b(usage|options|commands|arguments?|error|missing|required|requires|default|show this|invalid|no such|"
    r"did you mean|try|input should|unexpected|TEXT|NUMBER|INTEGER|PATH|FILE|FOLDER|WORD|must be|takes|needs)\b"
)
SPANISH = re.compile(
    r"[áéíóúñ¿¡Ñ]|\b(uso|opciones|comandos|argumentos|falta|obligatorio|por defecto|sobra|ayuda|tiene)\b", re.I
)


def _calls(lang: str) -> list[tuple[list[str], int, str]]:
    run = subprocess.run(
        [sys.executable, "-c", EVERY_CALL],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ATENEO_LANG": lang, "COLUMNS": "80"},
    )
    return [(arguments, code, said) for arguments, code, said in json.loads(run.stdout)]


@pytest.mark.parametrize(("lang", "foreign"), [("es", ENGLISH), ("en", SPANISH)], ids=["es", "en"])
def test_help_and_mistakes_speak_one_language(lang: str, foreign: re.Pattern[str]) -> None:
    calls = _calls(lang)
    assert len(calls) > 300
    for arguments, code, said in calls:
        name = "ateneo " + " ".join(arguments)
        assert "Traceback" not in said, name
        assert code == (0 if "--help" in arguments else 2), (name, said)
        assert max(map(len, said.splitlines())) <= 80 or "--help" not in arguments, (name, said)
        # options and values are the same in both
        bare = re.sub(r"'[^']*'|`[^`]*`|--?[\w-]+|\[[^\]]*\]|https?://\S+", "", said.replace(ATENEO, ""))
        assert not foreign.search(bare), (name, said)


def test_a_mistake_says_what_is_right() -> None:
    for call, told in {
        "search -e acme hola -k x": "❌ '-k': tiene que ser un número entero.",
        "serve --port 99999": "❌ '--port': tiene que ser 65535 o menos.",
        "search -e acme": "❌ Falta PREGUNTA.",
        "search hola": "❌ Falta la opción '--empresa-id' / '-e'.",
        "search hola --nope": "❌ No existe la opción --nope.",
        "serach hola": "❌ No existe el comando 'serach'. ¿Será 'search'?",
        "search -e acme hola mundo": "❌ Sobra: mundo.",
    }.items():
        run = ateneo(*call.split(), url=None)
        assert (run.returncode, run.stdout, run.stderr.splitlines()[0][: len(told)]) == (2, "", told)
        assert run.stderr.splitlines()[-1].endswith("--help")


def test_the_version() -> None:
    assert ateneo("--version", url=None).stdout == f"ateneo {package.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", package.__version__)


@pytest.mark.parametrize("imports", [0, 60, 250, 700])
def test_ctrl_c_while_it_starts(imports: int) -> None:
    """At any moment from Ateneo's first line on, told by how much has been imported."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", ATENEO, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        for line in process.stderr:
            if line.rstrip().endswith("ateneo.cli.main"):
                break
        process.stderr.readline()  # main() has begun once it imports something
        for _ in range(imports):
            process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert "Traceback" not in said
        assert process.wait(timeout=60) in (130, 0)


def test_json_for_every_terminal(database_url: str, tmp_path: Path) -> None:
    text = "La póliza del camión — «especial» — cubre Ñorquinco 😀."
    (tmp_path / "poliza.md").write_text(f"# Póliza\n\n{text}\n", encoding="utf-8")
    assert ateneo("ingest", "-e", "acme", str(tmp_path / "poliza.md"), url=database_url).returncode == 0
    for encoding in ("ascii", "cp1252", "latin-1", "utf-8"):
        run = ateneo("search", "-e", "acme", "póliza", "--json", url=database_url, PYTHONIOENCODING=encoding)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["hits"][0]["contenido"].endswith(text)
        if encoding != "utf-8":
            assert run.stdout.isascii()


def test_a_screen_degrades_and_never_fails(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "manual.md").write_text(MANUAL + "\nÑandú 😀 «plan» —\n", encoding="utf-8")
    for encoding in ("ascii", "cp1252"):
        environment: dict[str, Any] = {"PYTHONIOENCODING": encoding}
        for call in (["ingest", "-e", "acme", str(tmp_path)], ["search", "-e", "acme", "mudanza"], ["doctor"], ["nada"],
                     ["ask", "-e", "acme", "¿cuántos días dan por mudanza?"], ["--help"], ["status"]):  # fmt: skip
            run = ateneo(*call, url=database_url, **environment)  # what it says is of that encoding
            assert "Traceback" not in run.stderr, (call, run.stderr)
    shown = ateneo_process("nada", url=None, PYTHONIOENCODING="ascii").stderr
    assert shown.splitlines()[0] == "x No existe el comando 'nada'."
    assert "semantica" in ateneo_process("--help", url=None, PYTHONIOENCODING="ascii").stdout
