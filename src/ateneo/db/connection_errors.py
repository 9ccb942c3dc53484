"""Why there is no connection, and what to do about it: a wrong port takes another remedy than a wrong password."""

import re
import ssl
from socket import gaierror

import asyncpg

from ateneo.errors import DatabaseUnavailable
from ateneo.i18n import tr

_CUT = (
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
)


def unavailable(error: BaseException, where: str, detail: str) -> DatabaseUnavailable:
    """`detail`: what the driver said, or what is said instead. Names that may have been read out of a password, from an
    address that lacks something, are not told: a host that is nowhere, a login that there is not."""
    found = _of_network(error)
    remedy = _of_server(error) or (found[1] if found else "")
    if _is_unknown_host(error):
        where = "DATABASE_URL"
    if quotes_login(error):
        detail = re.sub(r'"[^"]*"', "…", detail)
    return DatabaseUnavailable(where=where, detail=found[0] if found else detail, remedy=remedy)


def quotes_login(error: BaseException) -> bool:
    """Whether what the server says names the login."""
    return isinstance(error, asyncpg.InvalidAuthorizationSpecificationError)


def _is_unknown_host(error: BaseException) -> bool:
    said = str(error)
    return isinstance(error, gaierror) or "getaddrinfo" in said or bool(re.search(r"\[Errno -[2-5]\]", said))


def _of_server(error: BaseException) -> str:
    """For a server that answered, and refused."""
    if isinstance(error, asyncpg.InvalidPasswordError):
        return tr(
            "El servidor responde: revisá el usuario y la clave de DATABASE_URL.",
            "The server answers: check the user and the password in DATABASE_URL.",
        )
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return tr(
            "El servidor responde, y no admite a ese usuario así: revisá el usuario, sslmode y su pg_hba.conf.",
            "The server answers, and does not admit that user so: check the user, sslmode and its pg_hba.conf.",
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return tr(
            "El servidor responde, pero no tiene esa base: corregí su nombre, o creala (createdb).",
            "The server answers, but has no such database: correct its name, or create it (createdb).",
        )
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return tr(
            "El servidor no admite más conexiones: bajá ATENEO_POOL_SIZE, o subí su max_connections.",
            "The server admits no more connections: lower ATENEO_POOL_SIZE, or raise its max_connections.",
        )
    if isinstance(error, asyncpg.CannotConnectNowError):
        return tr(
            "El servidor está arrancando o deteniéndose: esperá un momento y repetí.",
            "The server is starting or stopping: wait a moment and run it again.",
        )
    if isinstance(error, _CUT):
        return tr(
            "Se cortó la conexión: repetí; si vuelve a pasar, mirá el registro del servidor.",
            "The connection was cut: try again; if it comes back, look at the server's log.",
        )
    return ""


def _of_network(error: BaseException) -> tuple[str, str] | None:
    """For a server that was not reached: what happened, and what to do. None where it is something else."""
    said = str(error)
    if _is_unknown_host(error):
        return tr("no se encontró el servidor.", "the server was not found."), tr(
            "Ese nombre de servidor no existe en la red: revisá el host de DATABASE_URL.",
            "That server's name is not known to the network: check the host in DATABASE_URL.",
        )
    if isinstance(error, TimeoutError):
        return tr("tiempo agotado.", "timed out."), tr(
            "El servidor no contesta: revisá host y puerto de DATABASE_URL, y que ningún cortafuegos lo impida.",
            "The server does not reply: check host and port in DATABASE_URL, and that no firewall is in the way.",
        )
    if isinstance(error, ssl.SSLError):
        return said, tr(
            "Falló el cifrado: revisá sslmode y sslrootcert en DATABASE_URL (docs/how-to/database-url.md).",
            "Encryption failed: check sslmode and sslrootcert in DATABASE_URL (docs/how-to/database-url.md).",
        )
    if isinstance(error, ConnectionRefusedError | FileNotFoundError) or "Connect call failed" in said:
        return tr("conexión rechazada.", "connection refused."), tr(
            "Nadie atiende ahí: revisá host y puerto de DATABASE_URL, y que el servidor esté en marcha.",
            "Nobody listens there: check host and port in DATABASE_URL, and that the server is running.",
        )
    return None
