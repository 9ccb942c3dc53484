"""Proxies and certificates in the environment, as the HTTP clients read them: one that no client can use is named."""

import os
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from ateneo.errors import SettingsError
from ateneo.i18n import tr

T = TypeVar("T")

_PROXIES = ("http", "https", "all")
_SOCKS = ("socks5", "socks5h")


def check_environment() -> None:
    """Before a client is made, that it will not fail there. Raises SettingsError."""
    proxies = getproxies()
    if "*" not in [host.strip() for host in proxies.get("no", "").split(",")]:
        for scheme in _PROXIES:
            if proxies.get(scheme):
                _check_proxy(_variable(f"{scheme}_proxy"), proxies[scheme])
    _check_certificates()


def made(make: Callable[[], T]) -> T:
    """A client. Raises SettingsError where the environment keeps it from being made, for whatever reason."""
    check_environment()
    try:
        return make()
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001  what clients raise there is no part of their interface
        kind = type(error).__name__
    names = [name for one in (*_PROXIES, "no") if os.environ.get(name := _variable(f"{one}_proxy"))]
    detail = tr(f"no se puede usar ({kind}).", f"it cannot be used ({kind}).")
    raise SettingsError(name=", ".join(names) or "HTTP", detail=detail)


def _variable(name: str) -> str:
    """As it stands in the environment: the small letters win, as in every client."""
    return name if os.environ.get(name) else name.upper()


def _check_proxy(name: str, value: str) -> None:
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        well_formed = bool(parts.hostname) and parts.port != 0 and address.isprintable() and " " not in address
    except ValueError:
        well_formed = False
    else:
        if parts.scheme not in ("http", "https", *_SOCKS):
            detail = tr(
                f"un proxy «{parts.scheme}://» no se puede usar: tiene que ser http://, https:// o socks5://.",
                f"a proxy “{parts.scheme}://” cannot be used: it must be http://, https:// or socks5://.",
            )
            raise SettingsError(name=name, detail=detail)
    if not well_formed:
        detail = tr("no es la dirección de un proxy.", "it is not the address of a proxy.")
        raise SettingsError(name=name, detail=detail)
    if parts.scheme in _SOCKS and find_spec("socksio") is None:
        detail = tr(
            "es un proxy SOCKS, y falta el paquete: pip install socksio", "it is a SOCKS proxy: pip install socksio"
        )
        raise SettingsError(name=name, detail=detail)


def _check_certificates() -> None:
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            ssl.create_default_context(cafile=file)
        except ssl.SSLError:
            detail = tr("no tiene certificados en formato PEM.", "it holds no certificates in PEM format.")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            detail = tr(f"no se puede leer ({reason}).", f"it cannot be read ({reason}).")
        else:
            return
        raise SettingsError(name="SSL_CERT_FILE", detail=detail)
    if folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
        detail = tr("no es una carpeta.", "it is not a folder.")
        raise SettingsError(name="SSL_CERT_DIR", detail=detail)
