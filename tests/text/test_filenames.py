"""Ids of any kind become names of files: each its own, on every file system."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from ateneo.text.filenames import file_name

IDS = st.text(max_size=12) | st.text("aAbB/-._~ñé", max_size=6)


@given(IDS, IDS)
@example("a/b", "a-b")
@example("Acme", "acme")
@example("x", "")
@example("..", ".")
@example("é", "e\u0301")
@example("a" * 300, "a" * 301)
@example("a", "a.")
@example("a/b", "a-b~" + "0" * 16)
def test_two_ids_have_two_names(one: str, other: str) -> None:
    """Also where case and Unicode form do not count, and for what was made to look like a name."""

    def folded(id: str) -> str:
        return unicodedata.normalize("NFC", file_name(id)).casefold()

    assert (folded(one) == folded(other)) == (one == other)
    assert folded(file_name(one)) != folded(one) or file_name(one) == one


@given(IDS)
def test_a_name_is_one_everywhere(id: str) -> None:
    name = file_name(id)
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>| ')
    assert name not in (".", "..")
    assert 0 < len(name) <= 100


def test_a_plain_id_stays_as_it_is() -> None:
    for plain in ("acme", "textil-sur", "0197b1c2-6f1e-4b7e-9d55-0c7f5a3a9f10"):
        assert file_name(plain) == plain
