"""The tree of errors: each has its texts and its fields, and can be copied and sent to another process."""

import ast
import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Formatter

import pytest

from ateneo import errors, i18n
from ateneo.error_texts import TEXTS
from ateneo.errors import AteneoError

PACKAGE = Path(errors.__file__).parent
WITHOUT_TEXTS = {"AteneoError", "InputError", "DocumentError"}
"""Their message is the detail, and their subclasses say more."""
WAYS: list[Callable[[AteneoError], AteneoError]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
]


def tree(kind: type[AteneoError] = AteneoError) -> Iterator[type[AteneoError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


KINDS = sorted(set(tree()), key=str)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def made(kind: type[AteneoError]) -> AteneoError:
    """With a value for every field."""
    return kind(**{name: f"<{name}>" for name in kind.field_names})


def raised() -> Iterator[tuple[str, type[AteneoError], set[str]]]:
    """Where the package makes an error, which one, and with which fields."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                kind = getattr(errors, node.func.id, None)
                given = {keyword.arg for keyword in node.keywords}
                if kind in KINDS and None not in given:
                    yield f"{path.name}:{node.lineno}", kind, {str(name) for name in given}


def test_every_error_has_its_texts() -> None:
    assert TEXTS.keys() == {kind.__name__ for kind in KINDS} - WITHOUT_TEXTS


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_texts_are_filled_with_the_fields(kind: type[AteneoError]) -> None:
    es, en, remedy_es, remedy_en = (placeholders(text) for text in kind.texts)
    assert (es, remedy_es) == (en, remedy_en)
    assert es | remedy_es <= set(kind.field_names)
    assert bool(kind.texts.remedy_es) == bool(kind.texts.remedy_en)


def test_errors_are_raised_with_their_fields() -> None:
    found = list(raised())
    assert len(found) > 100
    wrong = [
        (where, kind.__name__, fields)
        for where, kind, fields in found
        if not placeholders("".join(kind.texts)) <= fields <= set(kind.field_names)
    ]
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
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
