"""How a command is called: its help, and what is wrong with a call, in the reader's language.

Typer's own texts are English alone; nothing of them is shown but the names of options and types.
"""

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from ateneo.cli.logins import COMMAND
from ateneo.cli.runtime import INTERRUPTED, out, say_error, synchronous
from ateneo.i18n import tr
from ateneo.validation_messages import broken_rule

WRONG_USE = 2
Work = TypeVar("Work", bound=Callable[..., Any])


class Command(TyperCommand):
    def invoke(self, ctx: Any) -> Any:
        COMMAND.set(ctx.command_path.partition(" ")[2])
        return super().invoke(ctx)

    def get_help_option(self, ctx: Any) -> Any:
        return _ours(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_of(self, ctx))


class Group(TyperGroup):
    def get_help_option(self, ctx: Any) -> Any:
        return _ours(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_of(self, ctx))

    def summaries(self) -> list[tuple[str, str]]:
        """Its commands, each with one line of help."""
        return [(name, one.help or "") for name, one in self.commands.items()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            _show_help(ctx, None, True)
        return super().parse_args(ctx, args)


def _ours(option: Any) -> Any:
    """The option `--help`: Typer's would write past `terminal.degrade`."""
    if option is not None:
        option.help, option.callback = tr("Muestra esta ayuda.", "Shows this help."), _show_help
    return option


def _show_help(ctx: Any, parameter: Any, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        sys.stdout.write(help_of(ctx.command, ctx) + "\n")
        ctx.exit(0 if parameter else WRONG_USE)


class Commands(typer.Typer):
    """A group of commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(add_completion=False, pretty_exceptions_enable=False, **{"cls": Group, **settings})

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Work], Work]:
        register = super().command(name, **{"cls": Command, **settings})

        def command(work: Work) -> Work:
            register(synchronous(work))
            return work

        return command


def run(app: typer.Typer, arguments: Sequence[str] | None = None, name: str = "ateneo") -> None:
    """Runs the command that the arguments name. Returns where it ends with 0; else leaves the process with its code."""
    given = None if arguments is None else list(arguments)
    try:
        code = typer.main.get_command(app).main(args=given, prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        _report(error)
        code = error.exit_code
    except typer.Abort:
        code = INTERRUPTED
    if code:
        sys.exit(code)


def help_of(command: Any, ctx: Any) -> str:
    """The help of a command or a group."""
    sections = _parameters(command, ctx)
    if isinstance(command, Group):
        sections[tr("Comandos", "Commands")] = command.summaries()
    width = max((len(name) for rows in sections.values() for name, _ in rows), default=0)
    with out.capture() as captured:
        out.print(usage_of(command, ctx))
        if command.help:
            out.print(Padding(Text(command.help), (1, 0, 0, 2)))
        for title, rows in sections.items():
            if rows:
                out.print(Text(f"\n{title}", style="bold"))
                out.print(_section(rows, width))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def usage_of(command: Any, ctx: Any) -> str:
    """The one line that says how it is called."""
    words = {"[OPTIONS]": tr("[OPCIONES]", "[OPTIONS]"),
             "COMMAND [ARGS]...": tr("COMANDO [ARGUMENTOS]...", "COMMAND [ARGUMENTS]...")}  # fmt: skip
    name = re.compile(r"\{(\w+)\}|(?<=\[)([a-z_]+)(?=\])")
    pieces = [words.get(piece) or name.sub(_argument, piece) for piece in command.collect_usage_pieces(ctx)]
    return tr("Uso: ", "Usage: ") + " ".join([ctx.command_path, *pieces])


def _section(rows: list[tuple[str, str]], width: int) -> Padding:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="cyan", min_width=min(width, 30), max_width=34)
    grid.add_column()
    for name, text in rows:
        grid.add_row(Text(name), Text(text))
    return Padding(grid, (0, 0, 0, 2))


def _parameters(command: Any, ctx: Any) -> dict[str, list[tuple[str, str]]]:
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        name, text = record[0], _described(record[1])
        if parameter.param_type_name == "argument":
            arguments.append((re.sub(r"^\W*(\w+).*", _argument, name), text))
        else:
            options.append((_named(name), text))
    return {tr("Argumentos", "Arguments"): arguments, tr("Opciones", "Options"): options}


def _named(name: str) -> str:
    """`--tokens <int range>` as `--tokens NÚMERO`."""
    kinds = {"str": tr("TEXTO", "TEXT"), "path": tr("RUTA", "PATH"), "file": tr("ARCHIVO", "FILE"),
             "directory": tr("CARPETA", "FOLDER"), "int": tr("NÚMERO", "NUMBER"),
             "float": tr("NÚMERO", "NUMBER")}  # fmt: skip
    return re.sub(r"<(?:list\[)?(\w+)[^>]*>", lambda found: kinds.get(found[1].lower(), found[1]), name)


def _described(text: str) -> str:
    """`Cuántos.  [default: 5; required]` as `Cuántos. (obligatorio; por defecto: 5)`."""
    found = re.fullmatch(r"(.*?)(?:^|  )\[([^\[\]]*)\]", text, re.S)
    if not found:
        return text
    return f"{found[1]} ({'; '.join(map(_note, found[2].split('; ')))})".strip()


def _note(note: str) -> str:
    for pattern, translated in (
        ("^required$", tr("obligatorio", "required")),
        ("^default: ", tr("por defecto: ", "default: ")),
        (r"^(\S+)<=x<=(\S+)$", tr(r"de \1 a \2", r"\1 to \2")),
        (r"^x>=(\S+)$", tr(r"\1 o más", r"\1 or more")),
        (r"^x<=(\S+)$", tr(r"\1 o menos", r"\1 or less")),
    ):
        note = re.sub(pattern, translated, note)
    return note


def _argument(found: re.Match[str]) -> str:
    """An argument as it is called on screen: by what it is, not by its parameter's name."""
    name = found[found.lastindex or 0]
    known = {
        "query": tr("PREGUNTA", "QUESTION"),
        "question": tr("PREGUNTA", "QUESTION"),
        "paths": tr("RUTA", "PATH"),
        "file": tr("ARCHIVO", "FILE"),
        "folder": tr("CARPETA", "FOLDER"),
        "words": tr("PALABRA", "WORD"),
        "word": tr("PALABRA", "WORD"),
        "folders": tr("CARPETA", "FOLDER"),
        "country": tr("PAÍS", "COUNTRY"),
        "position": tr("LUGAR", "PLACE"),
        "model": tr("MODELO", "MODEL"),
        "empresa_id": "EMPRESA",
    }
    return known.get(name) or ("ID" if name.endswith(("_id", "_ids")) else name.upper())


def _report(error: typer.TyperException) -> None:
    ctx = getattr(error, "ctx", None)
    say_error(f"❌ {said(error)}", style="bold red")
    if ctx is not None:
        say_error(f"   {usage_of(ctx.command, ctx)}")
        say_error(tr(f"   Ayuda: {ctx.command_path} --help", f"   Help: {ctx.command_path} --help"))


def said(error: typer.TyperException) -> str:
    """What is wrong with a call."""
    text = error.format_message()
    broken = getattr(error.__cause__, "errors", None)  # pydantic's ValidationError
    if broken is not None:
        rule = broken_rule(broken(include_url=False)[0])
        text = re.sub(r"(Invalid value for .*?): .*", lambda found: f"{found[1]}: {rule}.", text, flags=re.S)
    text = re.sub(r"(?<=argument |alue for )'(\w+)'", _argument, text)
    for pattern, translated in _mistakes():
        text = re.sub(pattern, translated, text, flags=re.S)
    return text


def _mistakes() -> list[tuple[str, str]]:
    """What Typer says, and how it is said here."""
    return [
        (r"^Missing argument (.+?)\.", tr(r"Falta \1.", r"\1 is missing.")),
        (r"^Missing option (.+?)\.", tr(r"Falta la opción \1.", r"The option \1 is missing.")),
        (r"^Missing command\.", tr("Falta el comando.", "The command is missing.")),
        (r"Choose from:\s*", tr("Puede ser: ", "One of: ")),
        (r"^No such option: (\S+)", tr(r"No existe la opción \1.", r"There is no option \1.")),
        (r" \(Possible options: (.+)\)$", tr(r" ¿Será \1?", r" Did you mean \1?")),
        (r"^No such command (.+?)(?=\. Did|\.$)", tr(r"No existe el comando \1", r"There is no command \1")),
        (r"\. Did you mean (.+)\?$", tr(r". ¿Será \1?", r". Did you mean \1?")),
        (r"^Option (.+) requires (\d+) arguments\.$", tr(r"La opción \1 lleva \2 valores.", r"\1 needs \2 values.")),
        (r"^Option (.+) requires an argument\.$", tr(r"A la opción \1 le falta su valor.", r"\1 needs a value.")),
        (r"^Option (.+) does not take a value\.$", tr(r"La opción \1 no lleva valor.", r"\1 takes no value.")),
        (r"^Got unexpected extra argument\S* \((.+)\)$", tr(r"Sobra: \1.", r"Unexpected: \1.")),
        (r"^Invalid value for (.+?): ", tr(r"\1: ", r"\1: ")),
        (r"^Invalid value: ", ""),
        (r"(?:File|Directory|Path) ('[^']*') does not exist\.", tr(r"\1 no existe.", r"\1 does not exist.")),
        (r"(?:File|Directory|Path) ('[^']*') is a file\.", tr(r"\1 es un archivo.", r"\1 is a file.")),
        (r"(?:File|Directory|Path) ('[^']*') is a directory\.", tr(r"\1 es una carpeta.", r"\1 is a folder.")),
        (r"(?:File|Directory|Path) ('[^']*') is not readable\.", tr(r"\1 no se puede leer.", r"\1 cannot be read.")),
    ]  # fmt: skip
