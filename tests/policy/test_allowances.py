"""Limits agree or take nothing; budgets are exact; nothing that is held is ever lost."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.policy.bucket import Bucket
from fairlead.policy.budget import Account, Budget, Price, period_at
from fairlead.policy.estimate import completion_reserve, learned, prompt_tokens
from fairlead.policy.limits import Flow, Meter, Rule, Scope, Subject, cancel, duration, reserve, settle

ALL = Scope()
DAY = Budget("purse", ALL, 1_000_000, "day", ZoneInfo("UTC"))
SUBJECT = Subject("acme", "user", "k1", "m0")


def meter(name: str, *, tokens: float = 1000.0, requests: float = 100.0, concurrent: int | None = None) -> Meter:
    rule = Rule(name, ALL, Flow(requests, 60.0, requests), Flow(tokens, 60.0, tokens), concurrent)
    return Meter(rule, Bucket(requests / 60.0, requests, 0.0), Bucket(tokens / 60.0, tokens, 0.0))


def level(meters: list[Meter]) -> list[tuple[float, float, int]]:
    return [
        (each.requests.at(0.0), each.tokens.at(0.0), each.in_flight) for each in meters if each.requests and each.tokens
    ]


events = st.lists(
    st.tuples(st.sampled_from(["settle", "cancel", "hold"]), st.integers(1, 400), st.integers(0, 500)), max_size=60
)


@given(events=events)
def test_nothing_leaks(events: list[tuple[str, int, int]]) -> None:
    """What is left is the burst less what was used, whatever came of requests; no meter takes when another refuses."""
    meters = [meter("wide"), meter("narrow", tokens=500.0, concurrent=3)]
    used, held, asked = 0, [], 0
    for what, tokens, actual in events:
        before = level(meters)
        if reserve(meters, 0.0, tokens) is not None:
            assert level(meters) == before
            continue
        asked += 1
        if what == "settle":
            settle(meters, 0.0, tokens - actual)
            used += actual
        elif what == "cancel":
            cancel(meters, 0.0, tokens)
            asked -= 1
        else:
            held.append(tokens)
    for tokens in held:
        settle(meters, 0.0, tokens)
    assert level(meters) == [(100.0 - asked, 1000.0 - used, 0), (100.0 - asked, 500.0 - used, 0)]


def test_who_fails_several_limits_is_told_of_the_longest_wait() -> None:
    meters = [meter("first", tokens=600.0), meter("second", tokens=100.0)]
    assert reserve(meters, 0.0, 100) is None
    shortfall = reserve(meters, 0.0, 550)
    assert shortfall is not None
    assert (shortfall.rule, shortfall.useless) == ("second", True)


SCOPES = {
    "everybody": (ALL, True),
    "the tenant": (Scope(tenants=frozenset({"acme"})), True),
    "another tenant": (Scope(tenants=frozenset({"other"})), False),
    "the tenant with another role": (Scope(tenants=frozenset({"acme"}), roles=frozenset({"admin"})), False),
    "the key and the model": (Scope(keys=frozenset({"k1"}), models=frozenset({"m0", "m1"})), True),
}


@pytest.mark.parametrize(("scope", "applies"), SCOPES.values(), ids=SCOPES)
def test_for_whom_a_rule_counts(scope: Scope, *, applies: bool) -> None:
    assert scope.applies(SUBJECT) is applies


def test_what_has_an_allowance_of_its_own() -> None:
    assert Scope(("tenant", "model")).owner(SUBJECT) == ("acme", "m0")
    assert ALL.owner(SUBJECT) == ()


# -- money ------------------------------------------------------------------------------------------------------------

counts = st.integers(0, 2**40)
prices = st.builds(Price, *(st.integers(0, 10**15) for _ in range(3)))


@given(price=prices, prompt=counts, cached=counts, completion=counts)
def test_a_cost_is_exact_and_rounded_up_once(price: Price, prompt: int, cached: int, completion: int) -> None:
    fresh = max(0, prompt - cached)
    exact = fresh * price.prompt + (prompt - fresh) * price.cached + completion * price.completion
    assert 0 <= price.cost(prompt, cached, completion) * 10**6 - exact < 10**6


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 400_000), st.booleans()), max_size=60))
def test_a_budget_is_never_passed_by_more_than_what_ran_over_its_reserve(events: list[tuple[int, int, bool]]) -> None:
    account, over, spent, held = Account(DAY, (), 0.0), 0, 0, []
    for reserved, actual, ends_at_once in events:
        if account.reserve(0.0, reserved):
            assert account.spent + account.reserved + reserved > DAY.amount
            continue
        if not ends_at_once:
            held.append(reserved)
            continue
        account.settle(0.0, reserved, actual)
        spent, over = spent + actual, over + max(0, actual - reserved)
    for reserved in held:
        account.settle(0.0, reserved, reserved)
    assert account.reserved == 0
    assert account.spent == spent + sum(held) <= DAY.amount + over


def test_a_threshold_is_told_once_in_each_period() -> None:
    account = Account(DAY, ("acme",), 0.0)
    told = [account.settle(0.0, 0, 300_000) for _ in range(5)]
    assert [crossed.spent if crossed else None for crossed in told] == [None, None, 900_000, None, None]
    assert account.settle(86_400.0, 0, 799_999) is None
    assert account.settle(86_400.0, 0, 1) is not None
    again = Account(DAY, (), 0.0)
    again.restore(0.0, 900_000)  # before a restart: told already
    assert again.settle(0.0, 0, 1) is None


def test_a_budget_says_when_it_is_worth_to_come_back() -> None:
    account = Account(DAY, (), 3600.0)
    assert account.reserve(3600.0, 2_000_000) == inf
    assert account.reserve(3600.0, 900_000) == 0.0
    assert account.reserve(3600.0, 200_000) == 1.0  # what runs may end below its reserve
    account.settle(3600.0, 900_000, 900_000)
    assert account.reserve(3600.0, 200_000) == 82_800.0


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


PERIODS = {
    "a day in Berlin": ("2026-07-10T13:00", "day", "Europe/Berlin", "2026-07-10T00:00", "2026-07-11T00:00"),
    "the day that clocks go forward": (
        "2026-03-29T13:00",
        "day",
        "Europe/Berlin",
        "2026-03-29T00:00",
        "2026-03-30T00:00",
    ),
    "a week begins on Monday": ("2026-07-12T23:59", "week", "UTC", "2026-07-06T00:00", "2026-07-13T00:00"),
    "a short month": ("2026-02-28T23:59", "month", "America/New_York", "2026-02-01T00:00", "2026-03-01T00:00"),
    "the last month": ("2026-12-31T12:00", "month", "UTC", "2026-12-01T00:00", "2027-01-01T00:00"),
    "an hour in a zone of half hours": (
        "2026-07-10T13:45",
        "h",
        "Asia/Kolkata",
        "2026-07-10T13:00",
        "2026-07-10T14:00",
    ),
}


@pytest.mark.parametrize(("now", "period", "zone", "start", "end"), PERIODS.values(), ids=PERIODS)
def test_where_a_period_begins_and_ends(now: str, period: str, zone: str, start: str, end: str) -> None:
    assert period_at(at(now, zone), period, ZoneInfo(zone)) == (at(start, zone), at(end, zone))


@given(
    now=st.floats(0, 4e9),
    period=st.sampled_from(["h", "day", "week", "month"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_a_moment_lies_in_its_period_and_the_next_begins_where_it_ends(now: float, period: str, zone: str) -> None:
    found = period_at(now, period, ZoneInfo(zone))
    assert found.start <= now < found.end
    assert period_at(found.end, period, ZoneInfo(zone)).start == found.end


# -- estimates --------------------------------------------------------------------------------------------------------


@given(size=st.integers(2, 10**7), each=st.floats(1.0, 50.0))
def test_a_prompt_is_estimated_at_one_token_a_byte_at_most(size: int, each: float) -> None:
    assert size / each <= prompt_tokens(size, each) <= size


@given(ratio=st.floats(1.0, 20.0), first=st.floats(1.0, 20.0))
def test_sixty_requests_teach_the_size_of_a_token(ratio: float, first: float) -> None:
    believed = first
    for _ in range(60):
        believed = learned(believed, 10_000, round(10_000 / ratio))
    assert believed == pytest.approx(ratio, abs=0.05 * abs(first - ratio) + 0.02 * ratio)


RESERVES = {
    "what the caller allows": ((100, 10, 1000), 100),
    "what the window can still give": ((5000, 10, 1000), 990),
    "nothing when the prompt fills it": ((100, 1000, 1000), 0),
    "an unknown window": ((5000, 10, 0), 5000),
    "no word": ((None, 10, 0), 1024),
    "a negative number": ((-1, 10, 8192), 1024),
}


@pytest.mark.parametrize(("given_", "reserved"), RESERVES.values(), ids=RESERVES)
def test_what_is_reserved_for_an_answer(given_: tuple[int | None, int, int], reserved: int) -> None:
    assert completion_reserve(*given_) == reserved


TIMES = {0.0: "0ms", 0.0171: "18ms", 1.0: "1s", 1.5: "1.5s", 360.0: "6m0s", 3723.0: "1h2m3s", 59.9999: "1m0s"}


@pytest.mark.parametrize(("seconds", "text"), TIMES.items(), ids=TIMES.values())
def test_times_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_dates_of_the_tests_are_in_utc() -> None:
    assert at("1970-01-01T00:00", "UTC") == datetime.fromtimestamp(0, UTC).timestamp() == 0.0
