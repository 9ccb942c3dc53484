"""Words that a model does not know, on a tokeniser small enough to know by heart."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from ateneo.errors import ModelError
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.providers.unknown_words import UnknownWords, WordReader, _one_letter_away

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORDS = ["[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "carta", "casa", "vacation", "vacaciones", "tarta"]
NUMBERS = {word: number for number, word in enumerate(WORDS)} | {"vacacione": WORDS.index("vacation")}
HOME = WORDS.index("vacaciones")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer(WordPiece(NUMBERS, unk_token="[UNK]"))
    made.normalizer = BertNormalizer(lowercase=True, strip_accents=True)
    made.pre_tokenizer = BertPreTokenizer()
    return made


@pytest.fixture(scope="module")
def reader(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> WordReader:
    folder = tmp_path_factory.mktemp("model")
    (folder / "glosses.tsv").write_text("carta casa\tferiado feriados\ntarta\tpastel\ncarta casa tarta\txy\n")
    rules = UnknownWords(glosses="glosses.tsv", home=HOME)
    return WordReader(tokenizer, folder, rules, max_tokens=16)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vacaciones", None),  # known: it is one token
        ("vacacioens", "vacaciones"),
        ("VACASIONES", "vacaciones"),
        ("vacaciónnes", "vacaciones"),
        ("acaciones", "vacaciones"),
        ("carrta", "carta"),
        ("darta", "tarta"),  # carta and tarta are as near; tarta is of the home language
        ("vacations", "vacation"),
        ("casaz", "casa"),
        ("kasa", None),  # four letters
        ("xvacacionesx", None),
        ("vacac10nes", None),
        ("vacacоnes", None),  # a Cyrillic o
    ],
)
def test_one_word(tokenizer: Tokenizer, reader: WordReader, word: str, meant: str | None) -> None:
    encoding = tokenizer.encode(word, add_special_tokens=False)
    assert reader.ids(encoding, word) == ([NUMBERS[one] for one in meant.split()] if meant else encoding.ids)


def test_the_words_around_stay(tokenizer: Tokenizer, reader: WordReader) -> None:
    text = "casa, vacasiones (ab) carta"
    encoding = tokenizer.encode(text, add_special_tokens=False)
    kept = [WORDS[number] for number in reader.ids(encoding, text)]
    assert kept == ["casa", "[UNK]", "vacaciones", "[UNK]", "a", "##b", "[UNK]", "carta"]


def test_words_that_are_known_cost_no_reading(tmp_path: Path, tokenizer: Tokenizer) -> None:
    encoding = tokenizer.encode("casa carta", add_special_tokens=False)
    reader = WordReader(tokenizer, tmp_path, UnknownWords(glosses="none.tsv"), max_tokens=16)
    assert reader.ids(encoding, "casa carta") == encoding.ids


@pytest.mark.parametrize(("times", "read"), [(8, 0), (7, 2), (5, 5)])
def test_longer_meanings_are_read_while_the_window_has_room(
    tokenizer: Tokenizer, reader: WordReader, times: int, read: int
) -> None:
    encoding = tokenizer.encode("xy " * times, add_special_tokens=False)
    pieces, meaning = [NUMBERS["x"], NUMBERS["##y"]], [NUMBERS[word] for word in ("carta", "casa", "tarta")]
    assert reader.ids(encoding, "xy " * times) == meaning * read + pieces * (times - read)


def test_a_folder_without_its_glosses(tmp_path: Path) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copy(bundled_model_dir() / name, tmp_path / name)
    (tmp_path / "ateneo.json").write_text('{"unknown_words": {"glosses": "glosses.tsv"}}')
    with pytest.raises(ModelError, match=r"glosses\.tsv"):
        LocalEmbedder(tmp_path).count_tokens(["hola"])


@given(st.text("abc", min_size=5, max_size=8), st.integers(0, 7), st.sampled_from("abcz"), st.sampled_from("dist"))
def test_every_single_edit_can_be_undone(word: str, place: int, letter: str, kind: str) -> None:
    place %= len(word)
    edited = {
        "d": word[:place] + word[place + 1 :],
        "i": word[:place] + letter + word[place:],
        "s": word[:place] + letter + word[place + 1 :],
        "t": word[:place] + word[place : place + 2][::-1] + word[place + 2 :],
    }[kind]
    assert word == edited or len(edited) < 5 or word in set(_one_letter_away(edited))
