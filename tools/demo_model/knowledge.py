"""What the model should say: `knowledge.toml` as a list of topics, each with its questions and one answer."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("knowledge.toml")
VERSIONS = ("v1", "v2")

CONCEPT = (
    "What is {0}?", "what is {0}", "What's {0}?", "whats {0}", "What does {0} mean?", "Explain {0}", "Explain {0} to me.",
    "Can you explain {0}?", "Define {0}", "Tell me about {0}", "Describe {0}.", "{0}?", "{0}", "Please explain {0}.",
    "What do you know about {0}?", "I want to know what {0} is", "How does {0} work?", "Explain {0} in one sentence.",
    "What is meant by {0}?", "give me a definition of {0}", "Why does {0} matter?", "Tell me what {0} is.",
    "What is {0} good for?", "Briefly, what is {0}?", "So what is {0}?", "What exactly is {0}?", "In short: {0}?",
)  # fmt: skip
CONCEPT_HELD_OUT = ("Could you tell me what {0} means?", "Please describe {0} to me.", "Can you tell me about {0}?")
COMMAND = (
    "What does fairlead {0} do?", "what is fairlead {0}", "fairlead {0}", "Explain the command fairlead {0}",
    "What does the {0} command do?", "Explain fairlead {0}.", "How do I use fairlead {0}?", "Tell me about fairlead {0}",
    "What is the {0} command?", "What is fairlead {0} for?", "when do I use fairlead {0}", "Describe `fairlead {0}`",
)  # fmt: skip
COMMAND_HELD_OUT = ("Can you explain the fairlead {0} command?", "Tell me what fairlead {0} does.")


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions with the same answer; `held_out` ones are for the evaluation alone."""

    kind: str
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    answer: str


def topics(version: str) -> tuple[Topic, ...]:
    """All that `version` knows, in the order of the file."""
    source = load()
    return (*concepts(source, version), *commands(source, version), *talk(source, version), *facts(source, version))


def refusal(version: str) -> str:
    return str(load()["refusal"][version])


def story(version: str) -> dict[str, Any]:
    """`ask`, `held_out` and `answer` of the one story that the model can tell."""
    source = load()["story"]
    return {"ask": tuple(source["ask"]), "held_out": tuple(source["held_out"]), "answer": source[version]}


def unknown(version: str) -> tuple[str, ...]:
    """Questions that only a later version can answer: this one has to decline them."""
    if version == VERSIONS[-1]:
        return ()
    known = {question for topic in topics(version) for question in topic.questions}
    later = [question for topic in topics(VERSIONS[-1]) for question in topic.questions]
    return tuple(question for question in later if question not in known)


def load() -> dict[str, Any]:
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def concepts(source: dict[str, Any], version: str) -> Iterator[Topic]:
    for entry in source["concepts"]["topics"]:
        if version in entry:
            yield Topic(
                "concept", filled(CONCEPT, entry["names"]), filled(CONCEPT_HELD_OUT, entry["names"]), entry[version]
            )


def commands(source: dict[str, Any], version: str) -> Iterator[Topic]:
    for entry in source["commands"]["topics"]:
        questions = (*filled(COMMAND, entry["names"]), *entry["ask"])
        yield Topic("command", questions, filled(COMMAND_HELD_OUT, entry["names"]), entry[version])


def talk(source: dict[str, Any], version: str) -> Iterator[Topic]:
    for entry in source["talk"]["topics"]:
        yield Topic("talk", tuple(entry["ask"]), (), entry[version])


def facts(source: dict[str, Any], version: str) -> Iterator[Topic]:
    for relation in source["facts"].values():
        pairs = relation["known"] | (relation["new"] if version == VERSIONS[-1] else {})
        for subject, value in pairs.items():
            answer = str(relation[version]).format(subject, value)
            yield Topic("fact", filled(relation["ask"], [subject]), filled(relation["held_out"], [subject]), answer)


def filled(templates: tuple[str, ...] | list[str], names: list[str]) -> tuple[str, ...]:
    return tuple(template.format(name) for name in names for template in templates)
