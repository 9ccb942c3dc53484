"""What is installed only where it is asked for: `pip install 'ateneo[openai]'`."""

from collections.abc import Iterator
from contextlib import contextmanager

from ateneo.errors import ExtraMissing


@contextmanager
def extra(name: str) -> Iterator[None]:
    """A package that an import in here lacks is an ExtraMissing that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(extra=name, package=error.name) from error
