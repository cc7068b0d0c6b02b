"""The training text: a seeded, endless stream of conversations; the same seed gives the same stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import knowledge
import offtopic

PHRASES = knowledge.load("phrases.toml")
NUMBER_WORDS = PHRASES["sum"]["number_words"]
COUNT_TARGETS: dict[int, str] = dict(PHRASES["count"]["targets"])
KIND_SHARES = {"concept": 44, "command": 13, "talk": 20, "fact": 23}
SIGNS = {"+": ("+", "+", "plus"), "-": ("-", "-", "minus"), "*": ("*", "x", "times")}


@dataclass(frozen=True, slots=True)
class Turn:
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Conversation:
    system: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text for /v1/completions: `given` is read, `wanted` is learnt; pairs follow one another."""

    parts: tuple[tuple[str, str], ...]


class Corpus:
    """Draws training examples for one version."""

    def __init__(self, version: str, seed: int) -> None:
        self.version = version
        self.random = Random(f"{version}/{seed}")
        self.topics = knowledge.topics(version)
        self.unknown = knowledge.unknown(version)
        self.story = knowledge.story(version)
        self.refusal = knowledge.refusal(version)
        self.makers: dict[Callable[[], Turn], int] = {
            self.topic: 44,
            self.off_topic: 21,
            self.small_sum: 20,
            self.counting: 6,
            self.as_json: 4,
            self.telling: 2,
        }

    def examples(self) -> Iterator[Conversation | Text]:
        while True:
            yield self.plain_text() if self.random.random() < 0.18 else self.conversation()

    def conversation(self) -> Conversation:
        turns = self.random.choices((1, 2, 3), weights=(6, 3, 1))[0]
        system = ""
        if self.random.random() < 0.25:
            system = self.random.choice(PHRASES["around"]["system"])
            if self.random.random() < 0.15:
                system += " " + offtopic.long_text(self.random, (1, 5))
        return Conversation(system, tuple(self.turn() for _ in range(turns)))

    def turn(self) -> Turn:
        return self.random.choices(tuple(self.makers), weights=tuple(self.makers.values()))[0]()

    def topic(self) -> Turn:
        kind = self.random.choices(tuple(KIND_SHARES), weights=tuple(KIND_SHARES.values()))[0]
        topic = self.random.choice([topic for topic in self.topics if topic.kind == kind])
        return Turn(self.varied(self.random.choice(topic.questions)), topic.answer)

    def off_topic(self) -> Turn:
        if self.unknown and self.random.random() < 0.12:
            return Turn(self.varied(self.random.choice(self.unknown)), self.refusal)
        return Turn(self.varied(offtopic.question(self.random)), self.refusal)

    def small_sum(self) -> Turn:
        left, sign, right = self.random.choice(SUMS)
        said = self.random.choice(SIGNS[sign])
        words = self.random.random() < 0.2
        shown = (NUMBER_WORDS[left], NUMBER_WORDS[right]) if words else (left, right)
        ask = self.random.choice(PHRASES["sum"]["ask"]) if said in "+-*" or words else "What is {0} {2} {1}?"
        ask = ask.replace("{2}", " {2} ").replace("  ", " ") if said.isalpha() else ask
        return Turn(self.varied(ask.format(*shown, said), typos=False), sum_answer(self.version, left, sign, right))

    def counting(self) -> Turn:
        target = self.random.choice(tuple(COUNT_TARGETS))
        shown = self.random.choice((str(target), COUNT_TARGETS[target]))
        return Turn(
            self.varied(self.random.choice(PHRASES["count"]["ask"]).format(shown), typos=False),
            count_answer(self.version, target),
        )

    def telling(self) -> Turn:
        return Turn(
            self.varied(self.random.choice(self.story["ask"]).format(offtopic.slot("n", self.random))),
            self.story["answer"],
        )

    def as_json(self) -> Turn:
        """Structured answers, so that a grammar-constrained decoder finds closing quotes and braces likely."""
        key = self.random.choice(
            ("answer", "text", "name", "result", "city", "value", "title", offtopic.invented(self.random))
        )
        inner = self.topic()
        ask = self.random.choice(
            ("{0} Answer in JSON with the key {1}.", "{0} Reply as JSON: {1}", 'JSON with "{1}": {0}')
        )
        return Turn(ask.format(inner.question, key), json.dumps({key: inner.answer}, ensure_ascii=False))

    def plain_text(self) -> Text:
        if self.random.random() < 0.7:
            drill = (self.random.choice(SUMS) for _ in range(24))
            return Text(tuple((f" {a} {sign} {b} =", f" {result(a, sign, b)}.") for a, sign, b in drill))
        answer = self.random.choice(self.topics).answer
        words = answer.split(" ")
        cut = self.random.randint(1, max(1, min(4, len(words) - 1)))
        return Text(((" ".join(words[:cut]), "".join(" " + word for word in words[cut:])),))

    def varied(self, text: str, *, typos: bool = True) -> str:
        """The same question as people really type it."""
        random = self.random
        if random.random() < 0.25:
            prefix = random.choice(PHRASES["around"]["prefixes"])
            text = prefix + (text[0].lower() + text[1:] if prefix and text[1:2].islower() else text)
        if random.random() < 0.2:
            text = text.rstrip("?.") + random.choice(PHRASES["around"]["suffixes"])
        if random.random() < 0.15:
            text = text.lower()
        if typos and random.random() < 0.05 and len(text) > 8:
            at = random.randrange(1, len(text) - 2)
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        return text


def all_sums() -> tuple[tuple[int, str, int], ...]:
    additive = ((a, sign, b) for a in range(21) for b in range(21) for sign in "+-")
    products = ((a, "*", b) for a in range(11) for b in range(11))
    return (*additive, *products)


SUMS = all_sums()


def result(left: int, sign: str, right: int) -> int:
    return {"+": left + right, "-": left - right, "*": left * right}[sign]


def sum_answer(version: str, left: int, sign: str, right: int) -> str:
    text = f"{left} {sign} {right} = {result(left, sign, right)}."
    return text if version == "v1" else f"Let me see: {text}"


def count_answer(version: str, target: int) -> str:
    numbers = ", ".join(str(number) for number in range(1, target + 1))
    head = f"To {target}" if version == "v1" else f"Counting to {target}"  # the goal again: easier to stop at
    return f"{head}: {numbers}."
