"""Options that several commands share."""

from typing import Annotated

import typer

from ateneo.i18n import tr

EmpresaId = Annotated[str, typer.Option("--empresa-id", "-e", help=tr("La empresa.", "The company."))]
OneEmpresa = Annotated[str | None, typer.Option("--empresa-id", "-e", help=tr("De una sola.", "Of one."))]
AsJson = Annotated[bool, typer.Option("--json", help=tr("JSON en la salida.", "JSON on stdout."))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=tr("No pregunta.", "Does not ask."))]
