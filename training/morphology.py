"""Inflects Spanish dictionary words, so that a gloss of ``derrotar`` also serves ``derrotaron``.

Forms come out folded (no accents, ``ñ`` as ``n``), as the tokeniser sees them. Paradigms and the usual spelling
changes; a wrong form costs a few bytes, since nobody writes it.
"""

import re

_PRESENT = {
    "a": "o as a amos an ais e es emos en e aste aron aba abas abamos aban are ara aras aremos aran "
    "aria arias arian arse arlo arla arlos arlas arle arles arme arnos ando andose ado ada ados adas ase asen aramos",
    "e": "o es e emos en as a amos an i iste io ieron ia ias iamos ian ere era eras eremos eran eria erias "
    "erian erse erlo erla erlos erlas erle erles erme ernos iendo iendose ido ida idos idas iera ieran iese",
    "i": "o es e imos en as a amos an i iste io ieron ia ias iamos ian ire ira iras iremos iran iria "
    "irias irian irse irlo irla irlos irlas irle irles irme irnos iendo iendose ido ida idos idas iera ieran iese",
}
_VOSEO = {"a": "as a", "e": "es e", "i": "is i"}
_ORDERS = {
    "a": "alo ala alos alas ale ales ame anos ate elo ela elos elas ele eles eme enos ese",
    "e": "elo ela elos elas ele eles eme enos ete alo ala alos alas ale ales ame anos ase",
    "i": "ilo ila ilos ilas ile iles ime inos ite elo ela ele eme enos ete alo ala alos alas ale ales ame anos ase",
}
"""Imperatives of vos, tu and usted with their pronouns: guardalo, escribime, escribanos."""
_SOFTENED = (("c", "qu", "aeo"), ("g", "gu", "aeo"), ("z", "c", "aeo"))


_STRESSED = {"a": "o as a an e es en", "e": "o es e en a as an", "i": "o es e en a as an"}
_WEAK = "io ieron iendo iendose iera ieran iese a as amos an"
_PRETERITE = "e iste o imos ieron iera ieran iese iesen"
_FUTURE = "e as a emos an ia ias iamos ian"
_SUBJUNCTIVE = "o a as amos an"
_IRREGULAR = {
    "poner": ("pus", "pondr", "pong"),
    "tener": ("tuv", "tendr", "teng"),
    "venir": ("vin", "vendr", "veng"),
    "hacer": ("hic", "har", "hag"),
    "decir": ("dij", "dir", "dig"),
    "traer": ("traj", "traer", "traig"),
    "ducir": ("duj", "ducir", "duzc"),
    "poder": ("pud", "podr", "pued"),
    "querer": ("quis", "querr", "quier"),
    "saber": ("sup", "sabr", "sep"),
    "salir": ("sal", "saldr", "salg"),
    "valer": ("val", "valdr", "valg"),
    "andar": ("anduv", "andar", "and"),
    "estar": ("estuv", "estar", "est"),
}


def verb_forms(infinitive: str) -> list[str]:
    """Forms of a folded infinitive in -ar, -er or -ir (with or without -se)."""
    infinitive = infinitive.removesuffix("se")
    stem, vowel = infinitive[:-2], infinitive[-2]
    endings = f"{_PRESENT[vowel]} {_VOSEO[vowel]}".split()
    found = [infinitive, *(_join(stem, vowel, ending) for ending in endings), *_stem_changes(stem, vowel)]
    orders = [_join(stem, vowel, ending) for ending in _ORDERS[vowel].split()]
    return list(dict.fromkeys(found + _irregular(infinitive) + orders))


def _stem_changes(stem: str, vowel: str) -> list[str]:
    """Diphthongs where the stem is stressed, and weak vowels in -ir verbs: whether a verb has them is not looked up."""
    head, letter, tail = re.fullmatch(r"(.*?)([eo]?)([^aeiou]*u?)", stem).groups()  # type: ignore[union-attr]
    if vowel == "i" and stem.endswith("u"):
        return [stem + "y" + ending.removeprefix("i") for ending in f"{_WEAK} o e es en".split()]
    if not letter or not tail:
        return []
    strong = head + {"e": "ie", "o": "ue"}[letter] + tail
    changed = [_join(strong, vowel, ending) for ending in _STRESSED[vowel].split()]
    if vowel == "i":
        weak = head + {"e": "i", "o": "u"}[letter] + tail
        changed += [_join(weak, vowel, ending) for ending in f"{_WEAK} o e es en".split()]
    return changed


def _irregular(infinitive: str) -> list[str]:
    for verb, (preterite, future, subjunctive) in _IRREGULAR.items():
        if infinitive.endswith(verb):
            prefix = infinitive.removesuffix(verb)
            tables = ((preterite, _PRETERITE), (future, _FUTURE), (subjunctive, _SUBJUNCTIVE))
            return [prefix + stem + ending for stem, endings in tables for ending in endings.split()]
    return []


def _join(stem: str, vowel: str, ending: str) -> str:
    if vowel == "a" and ending[0] == "e":
        for old, new, _ in _SOFTENED:
            if stem.endswith(old):
                return stem[: -len(old)] + new + ending
    if vowel != "a" and ending[0] in "ao":
        if stem.endswith(("ac", "ec", "oc", "uc")):
            return stem[:-1] + "zc" + ending
        if stem.endswith("c"):
            return stem[:-1] + "z" + ending
        if stem.endswith("gu"):
            return stem[:-1] + ending
        if stem.endswith("g"):
            return stem[:-1] + "j" + ending
    return stem + ending


def noun_forms(word: str) -> list[str]:
    """Plural and feminine forms of a folded noun or adjective."""
    if word.endswith("z"):
        return [word, word[:-1] + "ces"]
    if re.search(r"(on|or|in|an|es)$", word):
        return [word, word + "es", word + "a", word + "as"]
    if word.endswith("o"):
        return [word, word + "s", word[:-1] + "a", word[:-1] + "as"]
    if word[-1] in "aeiu":
        return [word, word + "s"]
    return [word, word + "es"]


def is_verb(word: str) -> bool:
    """Whether a folded word looks like an infinitive."""
    return len(word) > 3 and word.endswith(("ar", "er", "ir", "arse", "erse", "irse"))


def forms(word: str) -> list[str]:
    """The word and its inflections, most useful first."""
    return verb_forms(word) if is_verb(word) else noun_forms(word)
