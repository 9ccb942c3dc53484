"""What becomes of each Spanish word.

A word of the training text gets a token of its own. A rarer word becomes another spelling of a token that exists:
``invadieron`` reads as ``invade``. That costs 20 bytes instead of 400, so that the inflected dictionary fits. Where its
English is no single token, the word is listed with it and read as these words: ``feriado`` as ``public holiday``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from corpus import Pair
from glossary import Gloss, Glossary, count_words

OWN_FREQUENCY = 4
GLOSS_WORDS = 4
MIN_SPANISH_SHARE = 0.3
UNLISTED_SHARE = 0.95
COMMON_RANK = 4_000


@dataclass(slots=True)
class Plan:
    """What words become: a token of their own, another spelling of one, or words to read instead; and English tokens
    reborn as Spanish words (how far)."""

    own: dict[str, Gloss] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    glossed: dict[str, str] = field(default_factory=dict)
    reborn: dict[str, tuple[Gloss, float]] = field(default_factory=dict)


def plan_vocabulary(glossary: Glossary, english: dict[str, int], pairs: Iterable[Pair]) -> Plan:
    """Decide what every Spanish word becomes; ``english`` is the teacher's vocabulary."""
    plan = Plan()
    heard = count_words(pair.english for pair in pairs)
    by_phrases: dict[tuple[str, ...], str] = {}
    for word in sorted(glossary, key=lambda w: (-glossary[w].frequency, -glossary[w].usefulness, w)):
        gloss = glossary[word]
        phrases = tuple(phrase for phrase, _ in gloss.phrases)
        target = phrases[0] if phrases[0] in english else by_phrases.get(phrases)
        if word in english:
            share = spanish_share(word, gloss, heard[word], english[word])
            if share:
                plan.reborn[word] = (gloss, share)
        elif gloss.frequency >= OWN_FREQUENCY:
            plan.own[word] = gloss
            by_phrases.setdefault(phrases, word)
        elif target is not None:
            plan.shared[word] = target
        elif phrases[0].count(" ") < GLOSS_WORDS:
            plan.glossed[word] = phrases[0]
    return plan


def spanish_share(word: str, gloss: Gloss, heard: int, rank: int) -> float:
    """How far an English token starts anew as the Spanish word written alike (``red``, ``sin``); 0 is not at all."""
    if any(phrase == word for phrase, _ in gloss.phrases):
        return 0.0
    if not heard and not gloss.frequency:
        return 1.0 if rank > COMMON_RANK else 0.0
    share = gloss.frequency / (gloss.frequency + heard)
    return share if share >= (MIN_SPANISH_SHARE if gloss.listed else UNLISTED_SHARE) else 0.0


def gloss_lines(glossed: dict[str, str]) -> str:
    """The file of glosses: a meaning and its words a line."""
    words: dict[str, list[str]] = {}
    for word, meaning in glossed.items():
        words.setdefault(meaning, []).append(word)
    return "".join(f"{meaning}\t{' '.join(listed)}\n" for meaning, listed in words.items())
