"""The tree of errors: each of them can be copied and sent to another process."""

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from ateneo import errors, i18n
from ateneo.errors import AteneoError

T = TypeVar("T")
WAYS: list[Callable[[AteneoError], AteneoError]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
]


def tree(kind: type[AteneoError] = AteneoError) -> Iterator[type[AteneoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def made(kind: type[AteneoError]) -> AteneoError:
    """With a value for every field that its texts ask for."""
    texts = " ".join((kind.es, kind.en, kind.remedy_es, kind.remedy_en))
    return kind(**{name: f"<{name}>" for name in ["detail", *re.findall(r"\{(\w+)", texts)]})


@pytest.mark.parametrize("kind", sorted(set(tree()), key=str), ids=str)
def test_every_error_survives(kind: type[AteneoError]) -> None:
    assert kind.__module__ == errors.__name__
    error = made(kind)
    error.add_note("una nota")
    for way in WAYS:
        for language in ("en", "es"):  # as it was, in the end
            i18n.use(language)
            again = way(error)
            assert type(again) is kind
            assert (again.fields, str(again), again.args) == (error.fields, str(error), error.args)
            assert again.__notes__ == ["una nota"]


def test_a_copy_has_fields_of_its_own() -> None:
    error = errors.BadArgument(name="filter", value={"a": [1]}, rule="…")
    deep = copy.deepcopy(error)
    error.fields["value"]["a"].append(2)  # type: ignore[index]
    assert deep.fields["value"] == {"a": [1]}
