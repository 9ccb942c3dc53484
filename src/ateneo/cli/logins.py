"""Which login each command takes, the least that does (docs/how-to/tenants.md), and what is said to who has another."""

from contextvars import ContextVar
from typing import Literal

from ateneo.errors import AteneoError, NoLogin, NotTheOwner
from ateneo.i18n import tr

Login = Literal["api", "worker", "owner", "none"]

COMMAND: ContextVar[str] = ContextVar("COMMAND", default="")
"""The command that runs, without `ateneo`."""
LOGINS: dict[Login, str] = {
    "api": "serve, mcp, ingest, search, ask, documents *, jobs *, agents *, conversations *, gaps, synonyms *, audit",
    "worker": "worker, backfill, status, doctor, db check, queue *, budget *, embeddings status, embeddings compare,"
    " index status, sources list, sources show, sources sync",
    "owner": "db upgrade, db uninstall, db sign-tenants, db forget-embeddings, keys *, empresas *, embeddings switch,"
    " embeddings rollback, embeddings prune, index tune, index rebuild, sources add, sources check, sources embed,"
    " sources remove, eval *",
    "none": "models *",
}
"""Commands by the login that they take; `*`: all of a group."""


def login_of(command: str) -> Login | None:
    for login, names in LOGINS.items():
        listed = names.split(", ")
        if command in listed or f"{command.partition(' ')[0]} *" in listed:
            return login
    return None


def remedy_of(error: AteneoError) -> str:
    """The error's remedy; where its login lacks rights, the login that the command takes."""
    login = login_of(COMMAND.get()) if isinstance(error, NotTheOwner | NoLogin) else None
    restored = tr(
        "Si la base se restauró, o alguien cambió sus permisos, que el dueño ejecute `ateneo db upgrade`.",
        "If the database was restored, or somebody changed its rights, have the owner run `ateneo db upgrade`.",
    )
    if login == "api":
        return f"{tr(NoLogin.texts.remedy_es, NoLogin.texts.remedy_en)} {restored}"
    if login == "worker":
        asked = tr(
            "Alcanza con el usuario del worker. Lo crea un administrador: BEGIN; CREATE ROLE mi_worker LOGIN; GRANT "
            "ateneo_worker TO mi_worker; COMMIT; y su clave, \\password mi_worker (docs/how-to/tenants.md).",
            "The worker's login suffices. An administrator makes it: BEGIN; CREATE ROLE mi_worker LOGIN; GRANT "
            "ateneo_worker TO mi_worker; COMMIT; and its password with \\password mi_worker (docs/how-to/tenants.md).",
        )
        return f"{asked} {restored}"
    if login == "owner":
        return tr(NotTheOwner.texts.remedy_es, NotTheOwner.texts.remedy_en)
    return error.remedy


def owner_warning() -> str:
    """For what serves companies with the owner's login."""
    return tr(
        "DATABASE_URL tiene el usuario dueño de las tablas: una inyección de SQL vería a todas las empresas. Un "
        "administrador crea uno que no: CREATE ROLE mi_api LOGIN NOINHERIT; GRANT ateneo_app TO mi_api; y su clave, "
        "\\password mi_api (docs/how-to/tenants.md).",
        "DATABASE_URL has the login that owns the tables: an SQL injection would see every company. An administrator "
        "makes one that does not: CREATE ROLE mi_api LOGIN NOINHERIT; GRANT ateneo_app TO mi_api; and its password "
        "with \\password mi_api (docs/how-to/tenants.md).",
    )
