"""What an engine computes, iteration by iteration, for clients that each send the next request when one is answered.

Continuous batching with chunked prefill: an iteration takes one token for every decoding sequence and fills the rest of
its token budget with prompts, first come first served. With equal lengths and no thinking time this does not depend on
how long an iteration takes, so the schedule is made once, in iterations; the roofline gives them seconds afterwards.
Requests that move together are one cohort, and iterations in which nothing begins or ends are one segment.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

MOST_GROUPS = 128  # closed-loop clients are followed in at most so many groups


class Segment(NamedTuple):
    """`iterations` equal iterations, each with `prompt_tokens` prefilled and `decoding` sequences.

    Those read `context` cached tokens together (the mean over the segment); `attended` counts pairs of a prompt token
    and an earlier one, `sampled` new tokens.
    """

    iterations: int
    prompt_tokens: int
    decoding: int
    context: float
    attended: float
    sampled: int


class Cohort(NamedTuple):
    """`size` requests sent after `sent` segments, with their first token after `first`, answered after `done`."""

    size: int
    sent: int
    first: int
    done: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Segments in order, and the cohorts to be measured."""

    segments: tuple[Segment, ...]
    cohorts: tuple[Cohort, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `tokens` tokens an iteration and `running` sequences at once."""

    tokens: int
    running: int


def burst(*, requests: int, prompt: int, output: int, limits: Limits) -> Schedule:
    """All requests at once, measured from the first to the last: an offline throughput benchmark."""
    loop = _Loop(prompt, output, limits, most_decoding=min(requests, limits.running), again=False)
    loop.queue.append(_Group(size=requests, sent=0, output=output, turn=1))
    return loop.run(requests)


def closed_loop(*, clients: int, prompt: int, output: int, limits: Limits) -> Schedule:
    """`clients` clients in the steady state: their first answers are spread evenly, their second are measured."""
    loop = _Loop(prompt, output, limits, most_decoding=min(clients, limits.running), again=True)
    size = -(-clients // MOST_GROUPS)
    for start in range(0, clients, size):
        count = min(size, clients - start)
        spread = max(1, round(output * (start + count) / clients))
        loop.queue.append(_Group(size=count, sent=0, output=spread, turn=0))
    return loop.run(clients)


@dataclass(slots=True)
class _Group:
    """Requests in the queue that were sent together. Only those of turn 1 are measured."""

    size: int
    sent: int
    output: int
    turn: int


class _Running(NamedTuple):
    until: int
    size: int
    sent: int
    first: int
    context: int
    turn: int


class _Loop:
    """The engine's state. `context` sums the cached tokens of all decoding sequences."""

    def __init__(self, prompt: int, output: int, limits: Limits, *, most_decoding: int, again: bool) -> None:
        self.prompt, self.output, self.running, self.again = prompt, output, limits.running, again
        self.tokens = max(limits.tokens, most_decoding + 1)  # there is always room for one prompt token
        self.queue: deque[_Group] = deque()
        self.prefilled = 0  # tokens of the first queued request that are done
        self.finishing: list[_Running] = []
        self.at, self.decoding, self.context = 0, 0, 0
        self.segments: list[Segment] = []
        self.cohorts: list[Cohort] = []

    def run(self, measured: int) -> Schedule:
        while measured > 0:
            if self.queue and self.decoding < self.running:
                self.prefill()
            else:
                self.decode(self.finishing[0].until - self.at)
            measured -= self.finish()
        return Schedule(tuple(self.segments), tuple(self.cohorts))

    def decode(self, iterations: int) -> None:
        """Nothing but decoding until the next cohort is done."""
        mean = self.context + self.decoding * (iterations - 1) / 2
        self.segments.append(Segment(iterations, 0, self.decoding, mean, 0.0, self.decoding))
        self.at += iterations
        self.context += self.decoding * iterations

    def prefill(self) -> None:
        """One iteration with prompts in it."""
        budget = self.tokens - self.decoding
        taken, attended = 0, 0.0
        ready: list[tuple[int, _Group]] = []
        free = self.running - self.decoding
        while self.queue and taken < budget and free:
            group, done = self.queue[0], self.prefilled
            count = min((budget - taken + done) // self.prompt, group.size, free)
            if not count:
                chunk = budget - taken
                attended += chunk * (done + chunk / 2)
                self.prefilled += chunk
                taken = budget
                continue
            taken += count * self.prompt - done
            attended += (count * self.prompt**2 - done**2) / 2
            free -= count
            self.prefilled = 0
            ready.append((count, group))
            group.size -= count
            if not group.size:
                self.queue.popleft()
        admitted = self.running - self.decoding - free
        self.segments.append(Segment(1, taken, self.decoding, self.context, attended, self.decoding + admitted))
        self.at += 1
        self.context += self.decoding
        for count, group in ready:
            self.start(count, group)

    def start(self, count: int, group: _Group) -> None:
        """The first token is there."""
        until = self.at + group.output - 1
        context = self.prompt + group.output - 1
        heapq.heappush(self.finishing, _Running(until, count, group.sent, len(self.segments), context, group.turn))
        self.decoding += count
        self.context += count * self.prompt

    def finish(self) -> int:
        """Answered clients send their next request. Returns how many of those to be measured are answered."""
        measured = 0
        while self.finishing and self.finishing[0].until <= self.at:
            done = heapq.heappop(self.finishing)
            now = len(self.segments)
            self.decoding -= done.size
            self.context -= done.size * done.context
            if done.turn == 1:
                self.cohorts.append(Cohort(done.size, done.sent, done.first, now))
                measured += done.size
            if self.again:
                self.queue.append(_Group(done.size, now, self.output, done.turn + 1))
        return measured
