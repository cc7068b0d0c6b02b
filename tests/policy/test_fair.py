"""Who waits for a full engine: service is shared by weight, the queue is bounded, nobody starves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.policy.fair import Entry, FairQueue, Terms

NEVER = 1e9


def entry(tenant: str, tokens: int = 10, *, weight: float = 1.0, batch: bool = False, deadline: float = NEVER) -> Entry:
    return Entry(tenant, tokens, tokens, deadline, weight, batch)


def drain(queue: FairQueue, count: int) -> Counter[str]:
    """Serve so many, each at once refilled by its tenant; tokens by tenant."""
    served: Counter[str] = Counter()
    for number in range(count):
        got = queue.pop()
        assert got is not None
        served[got.tenant] += got.prompt + got.completion
        queue.push(entry(got.tenant, got.prompt, weight=got.weight, batch=got.batch), float(number))
    return served


@given(sizes=st.lists(st.integers(1, 500), min_size=2, max_size=6), backlog=st.integers(2, 30))
def test_backlogged_tenants_differ_by_no_more_than_a_few_requests(sizes: list[int], backlog: int) -> None:
    queue = FairQueue(Terms(queue=10_000))
    for number, size in enumerate(sizes):
        for _ in range(backlog * (number + 1)):
            queue.push(entry(f"t{number}", size), 0.0)
    served = drain(queue, 1000)
    assert max(served.values()) - min(served.get(f"t{n}", 0) for n in range(len(sizes))) <= 2 * 2 * max(sizes)


def test_weights_divide_the_service() -> None:
    queue = FairQueue(Terms(queue=1000))
    for _ in range(50):
        queue.push(entry("gold", weight=4.0), 0.0)
        queue.push(entry("tin"), 0.0)
    served = drain(queue, 1000)
    assert served["gold"] / served["tin"] == pytest.approx(4.0, rel=0.02)


def test_nobody_saves_service_up_while_idle() -> None:
    queue = FairQueue(Terms(queue=1000))
    for _ in range(10):
        queue.push(entry("busy"), 0.0)
    drain(queue, 500)
    for _ in range(10):
        queue.push(entry("late"), 500.0)
    served = drain(queue, 100)
    assert served["late"] == pytest.approx(served["busy"], rel=0.1)


def test_batch_keeps_its_share() -> None:
    queue = FairQueue(Terms(queue=1000, batch_share=0.2))
    for _ in range(20):
        queue.push(entry("live"), 0.0)
        queue.push(entry("bulk", batch=True), 0.0)
    served = drain(queue, 1000)
    assert served["bulk"] / sum(served.values()) == pytest.approx(0.2, abs=0.02)


def test_the_greediest_loses_its_newest_and_batch_before_others() -> None:
    queue = FairQueue(Terms(queue=4))
    first = [entry("greedy") for _ in range(3)]
    for each in [*first, entry("modest")]:
        assert queue.push(each, 0.0) is None
    shed = queue.push(entry("modest"), 0.0)
    assert shed is not None
    assert (shed.entry, shed.reason, len(queue)) == (first[-1], "queue_full", 4)
    bulk = entry("bulk", batch=True)
    shed = queue.push(bulk, 0.0)
    assert shed is not None
    assert shed.entry is bulk


def test_who_would_wait_too_long_is_told_at_once_and_who_does_is_taken_out() -> None:
    queue = FairQueue(Terms(queue=100))
    for _ in range(70):
        queue.push(entry("a"), 0.0)
    for number in range(20):  # ten requests a second, while others wait
        running = queue.pop()
        assert running is not None
        queue.settle(running, 10, 10, number / 10)
    late = queue.push(entry("a", deadline=2.5), 2.0)
    assert late is not None
    assert late.reason == "too_slow"
    assert late.wait_s == pytest.approx(5.0, rel=0.2)
    patient = entry("b", deadline=60.0)
    assert queue.push(patient, 2.0) is None
    (expired,) = [shed for shed in queue.expire(61.0) if shed.entry is patient]
    assert expired.reason == "expired"


def test_a_trickle_says_nothing_of_what_an_engine_can_do() -> None:
    """A request a second was served because no more came: a burst behind it is not turned away for that."""
    queue = FairQueue(Terms(queue=100))
    for second in range(20):
        running = entry("a")
        queue.start(running)
        queue.settle(running, 10, 10, float(second))
    for _ in range(50):
        assert queue.push(entry("a", deadline=30.0), 20.0) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["push", "pop", "cancel", "expire"]), st.sampled_from("abc"), st.booleans()),
        max_size=80,
    )
)
def test_the_books_hold_whatever_happens(steps: list[tuple[str, str, bool]]) -> None:
    queue = FairQueue(Terms(queue=8))
    pushed: list[Entry] = []
    told: list[Entry] = []  # whoever does not wait any more has been served, shed, cancelled or expired: nobody is lost
    for now, (what, tenant, batch) in enumerate(steps):
        if what == "push":
            pushed.append(entry(tenant, batch=batch, deadline=now + 10))
            shed = queue.push(pushed[-1], now)
            told += [shed.entry] if shed else []
        elif what == "pop":
            got = queue.pop()
            if got is not None:
                queue.settle(got, 1, 1, now)
                told.append(got)
        elif what == "cancel" and pushed:
            chosen = pushed[now % len(pushed)]
            told += [chosen] if chosen.waiting else []
            queue.cancel(chosen)
        else:
            told += [shed.entry for shed in queue.expire(now)]
        waiting = [each for each in pushed if each.waiting]
        assert len(queue) == len(waiting) <= 8
        assert len(told) + len(waiting) == len(pushed)


def test_batch_that_is_held_back_is_passed_over() -> None:
    queue = FairQueue(Terms())
    queue.push(entry("bulk", batch=True), 0.0)
    assert not queue.hurried
    assert queue.pop(batch=False) is None
    queue.push(entry("live"), 0.0)
    assert queue.hurried
    assert [getattr(queue.pop(batch=False), "tenant", None) for _ in range(2)] == ["live", None]
    assert getattr(queue.pop(), "tenant", None) == "bulk"


def test_what_is_held_back_does_not_make_the_engine_seem_slow() -> None:
    waits = {}
    for held in (False, True):
        queue = FairQueue(Terms())
        queue.held = held
        for number in range(100):
            queue.push(entry("bulk", batch=True), number / 10)
            live = entry("live", 1)
            queue.start(live)
            queue.settle(live, 1, 1, number / 10)
        queue.push(entry("live", 1000), 10.0)
        waits[held] = queue.expected_wait(entry("live", 1000, deadline=NEVER))
    assert waits[True] == 0.0 < waits[False]
