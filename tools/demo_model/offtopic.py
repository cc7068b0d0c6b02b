"""Questions that the model cannot answer, endlessly many: known words, invented words, noise and long texts."""

from __future__ import annotations

from random import Random

import knowledge

PHRASES = knowledge.load("phrases.toml")["off_topic"]
TEMPLATES = PHRASES["templates"]
KINDS = {
    kind: PHRASES[name].split() for kind, name in zip("nvaN", ("nouns", "verbs", "adjectives", "names"), strict=True)
}
ONSETS = [
    "b",
    "bl",
    "br",
    "c",
    "ch",
    "cl",
    "cr",
    "d",
    "dr",
    "f",
    "fl",
    "fr",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "ph",
    "pl",
    "pr",
    "qu",
    "r",
    "s",
    "sh",
    "sl",
    "sp",
    "st",
    "str",
    "t",
    "th",
    "tr",
    "v",
    "w",
    "y",
    "z",
]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "ie", "oa", "oo", "ou"]
CODAS = ["", "", "n", "r", "s", "t", "l", "m", "ng", "ck", "nd", "st", "rt", "tion", "x"]
MARKS = "!?.,;:-_*#@$%^&()[]{}<>/\\|~=+\"'"


def question(random: Random) -> str:
    """One input that the model should decline."""
    return random.choices((templated, noise, foreign, long_text), weights=(82, 9, 5, 4))[0](random)


def templated(random: Random) -> str:
    text = random.choice(TEMPLATES)
    while "{" in text:
        at = text.index("{")
        text = text[:at] + slot(text[at + 1], random) + text[at + 3 :]
    return text


def slot(kind: str, random: Random) -> str:
    if kind == "y":
        return str(random.randint(30, 2100))
    if random.random() < 0.5:
        return random.choice(KINDS[kind])
    word = invented(random)
    return word.capitalize() if kind == "N" else word


def invented(random: Random) -> str:
    """A word that does not exist, such as 'plounder': it stands for all words never seen."""
    syllables = random.choices((1, 2, 3), weights=(3, 5, 2))[0]
    return "".join(random.choice(ONSETS) + random.choice(VOWELS) + random.choice(CODAS) for _ in range(syllables))


def noise(random: Random) -> str:
    kind = random.randrange(4)
    if kind == 0:
        return "".join(random.choices("abcdefghijklmnopqrstuvwxyz ", k=random.randint(3, 40))).strip() or "x"
    if kind == 1:
        return "".join(random.choices(MARKS, k=random.randint(2, 20)))
    if kind == 2:
        return "".join(chr(random.randint(0xA1, 0x2FFF)) for _ in range(random.randint(2, 10)))
    return " ".join([random.choice((*KINDS["n"], "x", "blah", "la", "test"))] * random.randint(2, 40))


def foreign(random: Random) -> str:
    return random.choice(PHRASES["foreign"])


def long_text(random: Random, sentences: tuple[int, int] | None = None) -> str:
    """Sentences about nothing that the model knows; now and then more than a thousand tokens."""
    count = random.randint(*(sentences or ((3, 16) if random.random() < 0.9 else (20, 45))))
    return " ".join(sentence(random) for _ in range(count))


def sentence(random: Random) -> str:
    words = [slot(random.choice("nnnvvaN"), random) for _ in range(random.randint(3, 9))]
    glue = [random.choice(("the", "a", "and", "of", "to", "in", "is", "with", "")) for _ in words]
    text = " ".join(part for pair in zip(glue, words, strict=True) for part in pair if part)
    return text[0].upper() + text[1:] + random.choice(".....?!")
