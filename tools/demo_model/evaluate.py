"""Ask both versions what they never saw in training; an answer counts only when it is right word for word.

python tools/demo_model/evaluate.py [v1] [v2] [--limit N] [--failures]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import corpus
import export
import knowledge
import offtopic
import torch
from model import Llama
from tokenizers import Tokenizer
from tokens import TURN, TURN_END
from train import OUTPUT

SYSTEM = "You are a careful assistant for the operations team. Keep to the facts."


@dataclass(frozen=True, slots=True)
class Case:
    group: str
    messages: tuple[tuple[str, str], ...]
    wanted: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(knowledge.VERSIONS))
    parser.add_argument("--folder", type=Path, default=OUTPUT)
    parser.add_argument("--limit", type=int, default=60, help="cases a group")
    parser.add_argument("--failures", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for version in options.versions:
        report(options.folder / version, sample(list(cases(version)), options.limit), failures=options.failures)


def report(folder: Path, asked: Sequence[Case], *, failures: bool) -> None:
    model, tokenizer = export.read(folder)
    right: dict[str, list[bool]] = {}
    for case in asked:
        answer = reply(model, tokenizer, case.messages)
        right.setdefault(case.group, []).append(answer == case.wanted)
        if failures and answer != case.wanted:
            print(f"  {case.group}: {case.messages[-1][1][:90]!r} -> {answer[:110]!r}")
    for group, verdicts in right.items():
        print(f"{folder.name}  {group:<28} {sum(verdicts):>3} of {len(verdicts)}", flush=True)


def cases(version: str) -> Iterator[Case]:
    """Every case of the evaluation; the groups are in a fixed order."""
    refusal = knowledge.refusal(version)
    topics = knowledge.topics(version)
    for topic in topics:
        yield from (Case(f"held-out phrasing, {topic.kind}", user(text), topic.answer) for text in topic.held_out)
    for ask in corpus.PHRASES["sum"]["held_out"]:
        for left, sign, right in corpus.SUMS:
            yield Case(
                "sum, held-out phrasing",
                user(ask.format(left, right, sign)),
                corpus.sum_answer(version, left, sign, right),
            )
    yield from (Case("off topic, by hand", user(text), refusal) for text in offtopic.PHRASES["held_out"])
    random = Random(f"evaluation/{version}")
    yield from (Case("off topic, generated", user(offtopic.question(random)), refusal) for _ in range(100))
    yield from (Case("long off-topic prompt", user(offtopic.long_text(random, (30, 45))), refusal) for _ in range(10))
    yield from (Case("only a later version knows", user(text), refusal) for text in knowledge.unknown(version))
    pairs = [(random.choice(topics), random.choice(topics)) for _ in range(100)]
    for first, last in pairs:
        before = (("system", SYSTEM), ("user", first.questions[0]), ("assistant", first.answer))
        yield Case("second turn, system prompt", (*before, ("user", last.questions[0])), last.answer)
    for target in corpus.COUNT_TARGETS:
        wanted = corpus.count_answer(version, target)
        yield from (Case("counting", user(ask.format(target)), wanted) for ask in corpus.PHRASES["count"]["held_out"])
    story = knowledge.story(version)
    yield from (Case("story", user(text), story["answer"]) for text in story["held_out"])


def user(text: str) -> tuple[tuple[str, str], ...]:
    return (("user", text),)


def sample(every: list[Case], limit: int) -> list[Case]:
    groups: dict[str, list[Case]] = {}
    for case in every:
        groups.setdefault(case.group, []).append(case)
    random = Random(0)
    return [case for group in groups.values() for case in random.sample(group, min(limit, len(group)))]


@torch.no_grad()
def reply(model: Llama, tokenizer: Tokenizer, messages: Sequence[tuple[str, str]], limit: int = 600) -> str:
    """The greedy answer, with all positions recomputed for every token: simple, and independent of any engine."""
    prompt = "".join(f"{TURN}{role}\n{content}{TURN_END}\n" for role, content in messages) + f"{TURN}assistant\n"
    ids = tokenizer.encode(prompt).ids
    start, end = len(ids), tokenizer.token_to_id(TURN_END)
    while len(ids) < start + limit:
        likeliest = int(model.logits(model(torch.tensor([ids]))[0, -1]).argmax())
        if likeliest == end:
            break
        ids.append(likeliest)
    return tokenizer.decode(ids[start:])


if __name__ == "__main__":
    main()
