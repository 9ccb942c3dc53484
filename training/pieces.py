"""Chooses the pieces of XLM-R's vocabulary that Spanish, English and Portuguese need, and writes the smaller tokeniser.

A piece is kept by how often it is met: in the training texts and, for what their subjects leave out, as XLM-R's own
unigram model has it, where a word list holds it. Single characters of Latin, Greek and Cyrillic, digits and signs are
always kept, so that every such text can still be spelt.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

TOKENIZER_SHA256 = "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39"
SPECIAL = 4
"""<s>, <pad>, </s>, <unk> come first; <mask> is last."""

_LATIN = re.compile(r"▁?[A-Za-zÀ-ÖØ-öø-ÿ]+")
_KEPT_SCRIPTS = ("LATIN", "GREEK", "CYRILLIC", "COMBINING", "MODIFIER")
_KEPT_CATEGORIES = ("N", "P", "S", "Z")
_LATIN_SHARE = 1e-3
"""Weight of Latin pieces that neither text nor list holds: names, mostly. They come last."""
_OTHER_DIGITS = re.compile("CJK|HANGUL|ARABIC|DEVANAGARI|KHMER|THAI|BENGALI|IDEOGRAPHIC|FULLWIDTH|HALFWIDTH|KATAKANA")


class PiecesError(RuntimeError):
    """The vocabulary is not the one that this recipe was written for."""


def read_description(tokenizer_json: bytes) -> dict:
    """XLM-R's tokenizer.json, parsed. Raises PiecesError where it is another file."""
    if hashlib.sha256(tokenizer_json).hexdigest() != TOKENIZER_SHA256:
        raise PiecesError("this is not multilingual-e5-small's tokenizer.json")
    return json.loads(tokenizer_json)


def as_typed(words: Iterable[str]) -> Iterator[str]:
    """Each word as it is, capitalised, and without its accents: the vocabulary is cased, and people type in a hurry."""
    for word in words:
        plain = unicodedata.normalize("NFD", word).encode("ascii", "ignore").decode()
        yield from {word, word.capitalize(), plain}


def choose(description: dict, texts: Iterable[str], words: Iterable[str], size: int) -> np.ndarray:
    """Ids of the pieces to keep, ascending. `description`: XLM-R's tokenizer.json, parsed."""
    vocabulary = description["model"]["vocab"]
    tokenizer = Tokenizer.from_str(json.dumps({**description, "truncation": None, "padding": None}))
    met, listed = _counts(tokenizer, texts, len(vocabulary)), _counts(tokenizer, as_typed(words), len(vocabulary))
    prior = np.exp([score for _, score in vocabulary])
    prior[[*range(SPECIAL), -1]] = 0
    seen = (listed > 0) | (met > 2)
    latin = np.array([bool(_LATIN.fullmatch(piece)) for piece, _ in vocabulary])
    value = met / met.sum() + np.where(seen, prior, 0) / prior[seen].sum() + np.where(latin, prior, 0) * _LATIN_SHARE
    forced = [n < SPECIAL or n == len(vocabulary) - 1 or _always(piece) for n, (piece, _) in enumerate(vocabulary)]
    value[forced] = np.inf
    return np.sort(np.argsort(-value, kind="stable")[:size])


def smaller(description: dict, keep: np.ndarray) -> str:
    """The tokenizer.json that knows the kept pieces alone."""
    place = {int(old): new for new, old in enumerate(keep)}
    vocabulary = description["model"]["vocab"]
    model = {**description["model"], "vocab": [vocabulary[n] for n in keep]}
    added = [{**token, "id": place[token["id"]]} for token in description["added_tokens"]]
    rest = {"model": model, "added_tokens": added, "truncation": None, "padding": None}
    return json.dumps({**description, **rest}, ensure_ascii=False, separators=(",", ":"))


def _counts(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> np.ndarray:
    counts: Counter[int] = Counter()
    batch = list(texts)
    for start in range(0, len(batch), 20_000):
        for encoding in tokenizer.encode_batch_fast(batch[start : start + 20_000], add_special_tokens=False):
            counts.update(encoding.ids)
    found = np.zeros(size)
    found[list(counts)] = list(counts.values())
    return found


def _always(piece: str) -> bool:
    if len(piece) != 1:
        return False
    name = unicodedata.name(piece, "")
    sign = unicodedata.category(piece)[0] in _KEPT_CATEGORIES and not _OTHER_DIGITS.search(name)
    return sign or name.startswith(_KEPT_SCRIPTS)


def read_words(files: Iterable[Path]) -> Iterator[str]:
    """Word lists, a word a line, in UTF-8 or, as older Debian packages have them, Latin-1."""
    for file in files:
        raw = file.read_bytes()
        try:
            yield from raw.decode().split()
        except UnicodeDecodeError:
            yield from raw.decode("latin-1").split()
