"""Words one letter away from a known one, on a tokeniser small enough to know by heart."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from ateneo.providers.spelling import Speller, Spelling, _one_letter_away

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORDS = ["[UNK]", *LETTERS, *(f"##{letter}" for letter in LETTERS), "carta", "casa", "vacation", "vacaciones", "tarta"]
NUMBERS = {word: number for number, word in enumerate(WORDS)} | {"vacacione": WORDS.index("vacation")}
HOME = WORDS.index("vacaciones")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    made = Tokenizer(WordPiece(NUMBERS, unk_token="[UNK]"))
    made.normalizer = BertNormalizer(lowercase=True, strip_accents=True)
    made.pre_tokenizer = BertPreTokenizer()
    return made


@pytest.fixture(scope="module")
def speller(tmp_path_factory: pytest.TempPathFactory) -> Speller:
    file = tmp_path_factory.mktemp("model") / "tokenizer.json"
    # not by Tokenizer.save, which keeps one word an id
    file.write_text('{"model": {"vocab": ' + str(NUMBERS).replace("'", '"') + "}}")
    return Speller(file, Spelling(home=HOME))


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
def test_one_word(tokenizer: Tokenizer, speller: Speller, word: str, meant: str | None) -> None:
    encoding = tokenizer.encode(word, add_special_tokens=False)
    assert speller.ids(encoding, word) == ([NUMBERS[meant]] if meant else encoding.ids)


def test_the_words_around_stay(tokenizer: Tokenizer, speller: Speller) -> None:
    text = "casa, vacasiones (ab) carta"
    encoding = tokenizer.encode(text, add_special_tokens=False)
    kept = [WORDS[number] for number in speller.ids(encoding, text)]
    assert kept == ["casa", "[UNK]", "vacaciones", "[UNK]", "a", "##b", "[UNK]", "carta"]


def test_a_model_whose_words_are_never_in_pieces_reads_no_vocabulary(tmp_path: Path, tokenizer: Tokenizer) -> None:
    encoding = tokenizer.encode("casa carta", add_special_tokens=False)
    assert Speller(tmp_path / "none.json", Spelling()).ids(encoding, "casa carta") == encoding.ids


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
