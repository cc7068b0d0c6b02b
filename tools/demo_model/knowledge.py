"""What the model should say: `knowledge.toml` as a list of topics, each with its questions and one answer."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
VERSIONS = ("v1", "v2")


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


def load(name: str = "knowledge.toml") -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def concepts(source: dict[str, Any], version: str) -> Iterator[Topic]:
    ways = load("phrases.toml")["concept"]
    for entry in source["concepts"]["topics"]:
        if version in entry:
            names = entry["names"]
            yield Topic("concept", filled(ways["ask"], names), filled(ways["held_out"], names), entry[version])


def commands(source: dict[str, Any], version: str) -> Iterator[Topic]:
    ways = load("phrases.toml")["command"]
    for entry in source["commands"]["topics"]:
        questions = (*filled(ways["ask"], entry["names"]), *entry["ask"])
        yield Topic("command", questions, filled(ways["held_out"], entry["names"]), entry[version])


def talk(source: dict[str, Any], version: str) -> Iterator[Topic]:
    for entry in source["talk"]["topics"]:
        yield Topic("talk", tuple(entry["ask"]), (), entry[version])


def facts(source: dict[str, Any], version: str) -> Iterator[Topic]:
    for relation in source["facts"].values():
        pairs = relation["known"] | (relation["new"] if version == VERSIONS[-1] else {})
        for subject, value in pairs.items():
            answer = str(relation[version]).format(subject, value)
            yield Topic("fact", filled(relation["ask"], [subject]), filled(relation["held_out"], [subject]), answer)


def filled(templates: list[str], names: list[str]) -> tuple[str, ...]:
    return tuple(template.format(name) for name in names for template in templates)
