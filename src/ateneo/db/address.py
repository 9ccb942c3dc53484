"""DATABASE_URL as people have it: libpq's URL and its `key=value`, and what Neon, Supabase, Prisma, SQLAlchemy and JDBC
make of it. No error of this file quotes any of the address, since what cannot be read may be part of a password."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlencode

from ateneo.errors import SettingsError
from ateneo.i18n import tr

_SCHEME = re.compile(r"(?:jdbc:)?postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.%\w]+\]|[\w.%-]*)(?::(?P<port>\d{0,5}))?")
_NAME = re.compile(r"[\w.:%-]*")
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)", re.DOTALL)
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_SPECIAL, _ESCAPED = re.compile(r"(['\\])"), r"\\\1"
_LIKE_A_QUERY = re.compile(r"[?&](\w+)=[^&]*$")

_ALIASES = {"database": "dbname", "ApplicationName": "application_name", "loginTimeout": "connect_timeout"}
_IDENTITY = ("host", "port", "user", "password", "dbname")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DRIVER = _words(
    "sslmode sslcert sslkey sslrootcert sslcrl sslpassword sslnegotiation ssl_min_protocol_version"
    " ssl_max_protocol_version target_session_attrs krbsrvname gsslib passfile service"
)
"""What asyncpg reads of an address itself."""
_WITHOUT_EFFECT = _words(
    "keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout sslcompression sslsni sslcertmode"
    " client_encoding fallback_application_name load_balance_hosts gssdelegation max_protocol_version"
    " min_protocol_version schema currentSchema connection_limit pool_timeout socket_timeout statement_cache_size"
    " prepared_statement_cache_size async_fallback prepareThreshold supa workaround"
)
"""Comfort of other clients. Ateneo names the schemas that it uses, and has ATENEO_POOL_SIZE."""
_SAFETY = _words("require_auth requirepeer sslcrldir sslidentity replication servicefile gssencmode")
"""What changes who is spoken to, or how, and the driver does not know: never left out in silence."""
_KNOWN = frozenset(_IDENTITY).union(
    _ALIASES, _DRIVER, _WITHOUT_EFFECT, _SAFETY,
    _words("pgbouncer connect_timeout channel_binding ssl sslaccept options application_name"),
)  # fmt: skip
_SSL_WORDS = {"true": "require", "1": "require", "false": "disable", "0": "disable", "no-verify": "require"}
_TRUTH = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


@dataclass(frozen=True, slots=True)
class Address:
    """`pooled`: what `pgbouncer=` says of a pooler in between; None where it says nothing. `unheeded`: parameters of
    the address whose protection the driver cannot give."""

    hosts: tuple[str, ...] = ()
    ports: tuple[int | None, ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    driver: Mapping[str, str] = field(default_factory=dict, repr=False)
    server_settings: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    pooled: bool | None = None
    unheeded: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Hosts with their ports, and database, for messages."""
        hosts = self.hosts or ("local",)
        pairs = zip(hosts, self.ports or (None,) * len(hosts), strict=False)
        places = [f"{host}:{port}" if port else host for host, port in pairs]
        return f"{','.join(places)}/{self.database or ''}".removesuffix("/")

    def arguments(self) -> dict[str, Any]:
        """What asyncpg's connect and create_pool take; what the address leaves out comes from libpq's variables."""
        given: dict[str, Any] = {"user": self.user, "password": self.password, "database": self.database}
        if self.hosts:
            given["host"] = list(self.hosts)
        if any(self.ports):
            ports = [port or 5432 for port in self.ports]
            given["port"] = ports if self.hosts else ports[0]
        if self.timeout_s is not None:
            given["timeout"] = self.timeout_s
        if self.server_settings:
            given["server_settings"] = dict(self.server_settings)
        return {"dsn": f"postgresql://?{urlencode(self.driver, quote_via=quote)}", **given}


def parse(text: str) -> Address:
    """Reads an address. A password may have any character that leaves one reading. Raises SettingsError."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    if found := _SCHEME.match(text):
        return _made(_of_url(text[found.end() :]))
    if re.match(r"\w+\s*=", text):
        return _made(_of_pairs(text))
    _refuse(
        "no es una dirección de PostgreSQL (postgresql://usuario:clave@servidor:5432/base).",
        "this is not an address of PostgreSQL (postgresql://user:password@server:5432/database).",
    )


def text_of(given: Mapping[str, object]) -> str:
    """libpq's `name='value'` of what has a value, which `parse` reads."""
    filled = {name: str(value) for name, value in given.items() if value not in (None, "")}
    return " ".join(f"{name}='{_SPECIAL.sub(_ESCAPED, value)}'" for name, value in filled.items())


def of_django(database: Mapping[str, Any]) -> str:
    """The text of an entry of Django's DATABASES; of its OPTIONS those that are libpq's. Raises SettingsError."""
    engine = str(database.get("ENGINE", ""))
    if not re.search("postg|psql", engine):
        _refuse(f"ENGINE es «{engine}»: hace falta PostgreSQL.", f"ENGINE is “{engine}”: it takes PostgreSQL.")
    options = {name: value for name, value in database.get("OPTIONS", {}).items() if name in _KNOWN}
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return text_of(options | {name: database.get(given) for name, given in names.items()})


def _refuse(es: str, en: str) -> NoReturn:
    raise SettingsError(name="DATABASE_URL", detail=tr(es, en)) from None  # Python's own errors quote what they got


def _of_url(rest: str) -> dict[str, str]:
    """The parameters of what follows `://`. User and password end at the last `@`."""
    who, at, place = rest.rpartition("@")
    last = _LIKE_A_QUERY.search(who)
    if last and last[1] in _KNOWN:
        _refuse(
            "tiene una @ que se puede leer de dos maneras. En la clave escribí %40 por @, %2F por /, %3F por ? y "
            "%26 por &.",
            "it has an @ that can be read in two ways. In the password write %40 for @, %2F for /, %3F for ? and "
            "%26 for &.",
        )
    place, _, query = place.partition("?")
    hosts, _, database = place.partition("/")
    found: dict[str, str] = {}
    if at:
        user, colon, password = who.partition(":")
        found |= {"user": unquote(user)} | ({"password": unquote(password)} if colon else {})
    if hosts:
        parts = [_HOST.fullmatch(one) for one in hosts.split(",")]
        if not all(parts):
            _refuse(
                "después de la última @ va servidor:puerto/base, y no es eso lo que hay.",
                "after the last @ it takes server:port/database, and this is something else.",
            )
        found["host"] = ",".join(unquote(part["host"].strip("[]")) for part in parts if part)
        found["port"] = ",".join(part["port"] or "" for part in parts if part)
    if database:
        found["dbname"] = unquote(database)
    for item in filter(None, query.split("&")):
        name, equals, value = item.partition("=")
        if not equals:
            _refuse(
                "después del ? van parámetros nombre=valor; en la clave escribí %3F por ? y %26 por &.",
                "after the ? it takes parameters name=value; in the password write %3F for ? and %26 for &.",
            )
        found[_ALIASES.get(unquote(name), unquote(name))] = unquote(value)
    return found


def _of_pairs(text: str) -> dict[str, str]:
    """libpq's `host=... password='...'`."""
    found: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        pair = _PAIR.match(text, at)
        if pair is None:
            _refuse(
                "no se entiende como pares nombre=valor; un valor con espacios o comillas va entre '…'.",
                "it cannot be read as pairs name=value; a value with spaces or quotes goes between '…'.",
            )
        name, value = pair.groups()
        quoted = value[1:-1] if value.startswith("'") else value
        found[_ALIASES.get(name, name)] = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        at = pair.end()
    return found


def _made(given: dict[str, str]) -> Address:
    given = {name: value for name, value in given.items() if value}  # as libpq: empty is not given
    address = given.pop("hostaddr", "")
    host = given.pop("host", address)
    hosts = tuple(host.split(",")) if host else ()
    if not all(one.startswith(("/", "@")) or _NAME.fullmatch(one) for one in hosts):
        _refuse("el servidor no es un nombre ni una dirección.", "the server is neither a name nor an address.")
    ports = tuple(_port(one) for one in given.pop("port", "").split(","))
    if len(ports) not in (1, len(hosts)):
        _refuse("hay más puertos que servidores, o menos.", "there are more ports than servers, or fewer.")
    timeout = given.pop("connect_timeout", None)
    pooled = given.pop("pgbouncer", None)
    unheeded = ("channel_binding",) if given.pop("channel_binding", "") == "require" else ()
    who = {name: given.pop(name, None) for name in ("user", "password")}
    database = given.pop("dbname", None)
    _translate_ssl(given)
    _refuse_unsafe(given)
    return Address(
        hosts=hosts,
        ports=ports * len(hosts) if len(ports) == 1 and hosts else ports,
        **who,
        database=database,
        driver={name: given[name] for name in given.keys() & _DRIVER},
        server_settings=_server_settings(given),
        timeout_s=None if timeout is None else _seconds(timeout),
        pooled=None if pooled is None else _truth(pooled),
        unheeded=unheeded,
    )


def _translate_ssl(given: dict[str, str]) -> None:
    """`ssl=` of JDBC, node-postgres and SQLAlchemy, `sslaccept=` of Prisma, as `sslmode`."""
    word = given.pop("ssl", None)
    if word is not None:
        given.setdefault("sslmode", word)
    if "sslmode" in given:
        given["sslmode"] = _SSL_WORDS.get(given["sslmode"].lower(), given["sslmode"])
    if given.pop("sslaccept", "") == "strict":
        given["sslmode"] = "verify-full"


def _refuse_unsafe(given: dict[str, str]) -> None:
    if given.get("gssencmode") in ("disable", "prefer"):
        del given["gssencmode"]
    for name in sorted(given.keys() & _SAFETY):
        _refuse(f"no puedo cumplir el parámetro {name}: quitalo.", f"the parameter {name} is not supported: remove it.")


def _server_settings(given: Mapping[str, str]) -> dict[str, str]:
    """What is left is the server's to know (`application_name`, `options`, `statement_timeout`)."""
    left = {name: value for name, value in given.items() if name not in _DRIVER | _WITHOUT_EFFECT}
    if not all(map(_SETTING.fullmatch, left)):
        _refuse("tiene un parámetro que no es un nombre.", "it has a parameter that is no name.")
    return left


def _port(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        _refuse("el puerto es un número de 1 a 65535.", "the port is a number from 1 to 65535.")
    return int(text)


def _seconds(text: str) -> float | None:
    """As libpq: zero or less is no limit of one's own."""
    try:
        value = float(text)
    except ValueError:
        _refuse("connect_timeout son segundos: un número.", "connect_timeout is in seconds: a number.")
    return value if 0 < value < float("inf") else None


def _truth(text: str) -> bool:
    value = _TRUTH.get(text.lower())
    if value is None:
        _refuse("pgbouncer es true o false.", "pgbouncer is true or false.")
    return value
