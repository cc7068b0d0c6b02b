"""The schedule computes every token once, keeps its limits, and agrees with a plain simulation of single requests."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.plan.schedule import Limits, Schedule, burst, closed_loop


def tokens(made: Schedule) -> tuple[int, int]:
    return (
        sum(each.prompt_tokens * each.iterations for each in made.segments),
        sum(each.sampled * each.iterations for each in made.segments),
    )


@settings(max_examples=60, deadline=None)
@given(
    requests=st.integers(1, 200),
    prompt=st.integers(1, 3000),
    output=st.integers(1, 300),
    budget=st.integers(16, 4096),
    running=st.integers(1, 128),
)
def test_a_burst_computes_every_token_once(requests: int, prompt: int, output: int, budget: int, running: int) -> None:
    made = burst(requests=requests, prompt=prompt, output=output, limits=Limits(budget, running))
    assert tokens(made) == (requests * prompt, requests * output)
    assert sum(each.size for each in made.cohorts) == requests
    assert all(each.decoding <= running for each in made.segments)
    most = max(budget, min(requests, running) + 1)
    assert all(each.prompt_tokens + each.decoding <= most for each in made.segments)
    assert all(each.iterations >= 1 for each in made.segments)


def one_by_one(requests: int, prompt: int, output: int, budget: int, running: int) -> list[tuple[int, int]]:
    """(prompt tokens, decoding sequences) of each iteration, request by request, token by token."""
    waiting = deque([prompt] * requests)
    left: list[int] = []
    made = []
    while waiting or left:
        room, taken, ready = budget - len(left), 0, 0
        while waiting and room and len(left) + ready < running:
            step = min(room, waiting[0])
            waiting[0] -= step
            room -= step
            taken += step
            if not waiting[0]:
                waiting.popleft()
                ready += 1
        made.append((taken, len(left)))
        left = [each - 1 for each in left if each > 1] + ([output - 1] * ready if output > 1 else [])
    return made


@pytest.mark.parametrize(
    ("requests", "prompt", "output", "budget", "running"),
    [(7, 100, 5, 256, 4), (20, 33, 9, 64, 8), (3, 1000, 2, 300, 3), (50, 10, 1, 64, 16)],
)
def test_a_burst_is_that_of_single_requests(requests: int, prompt: int, output: int, budget: int, running: int) -> None:
    made = burst(requests=requests, prompt=prompt, output=output, limits=Limits(budget, running))
    spread = [(each.prompt_tokens, each.decoding) for each in made.segments for _ in range(each.iterations)]
    assert spread == one_by_one(requests, prompt, output, budget, running)


@pytest.mark.parametrize("clients", [1, 7, 64, 500])
def test_a_closed_loop_measures_each_client_once(clients: int) -> None:
    made = closed_loop(clients=clients, prompt=500, output=100, limits=Limits(8192, 1024))
    assert sum(each.size for each in made.cohorts) == clients
    assert all(each.sent < each.first <= each.done for each in made.cohorts)


def test_who_finds_no_place_waits() -> None:
    """With 16 places for 32 clients, half of the time of a request is spent in the queue."""
    made = closed_loop(clients=32, prompt=10, output=200, limits=Limits(8192, 16))
    until = [0]
    for each in made.segments:
        until.append(until[-1] + each.iterations)
    waits = [(until[each.first] - until[each.sent]) for each in made.cohorts for _ in range(each.size)]
    assert sum(waits) / len(waits) == pytest.approx(200, rel=0.15)
