"""A key is new, in progress or done; it says what becomes of a request, and takes a bounded place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.policy.idempotency import IdempotencyKeys


def keys(**more: int) -> IdempotencyKeys:
    return IdempotencyKeys(life_s=10.0, **{"most_bytes": 1000, **more})


STORIES = {
    "the first runs": ([], b"x", "run"),
    "a second waits": (["begin"], b"x", "wait"),
    "another body is refused": (["begin"], b"y", "refuse"),
    "a finished one is replayed": (["begin", "finish"], b"x", "replay"),
    "also not to another body": (["begin", "finish"], b"y", "refuse"),
    "a failed one may be tried again": (["begin", "fail"], b"y", "run"),
    "an old one is new again": (["begin", "finish", "later"], b"y", "run"),
    "an answer too large is lost": (["begin", "finish much"], b"x", "lost"),
    "a running one does not get old": (["begin", "later"], b"x", "wait"),
}


@pytest.mark.parametrize(("story", "body", "action"), STORIES.values(), ids=STORIES)
def test_what_becomes_of_a_request(story: list[str], body: bytes, action: str) -> None:
    kept, now = keys(), 0.0
    for step in story:
        if step == "begin":
            kept.begin("t", "k", b"x", now)
        elif step.startswith("finish"):
            kept.finish("t", "k", b"answer" * (1000 if "much" in step else 1))
        elif step == "fail":
            kept.fail("t", "k")
        else:
            now = 11.0
    verdict = kept.begin("t", "k", body, now)
    assert verdict.action == action
    assert verdict.answer == (b"answer" if action == "replay" else b"")


def test_tenants_do_not_see_each_other() -> None:
    kept = keys()
    kept.begin("t", "k", b"x", 0.0)
    assert kept.begin("u", "k", b"y", 0.0).action == "run"


def test_running_requests_are_never_given_up_for_room() -> None:
    kept = keys(most_keys=2)
    assert [kept.begin("t", name, b"x", 0.0).action for name in "abc"] == ["run", "run", "full"]
    kept.finish("t", "a", b"done")
    assert kept.begin("t", "c", b"x", 0.0).action == "run"
    assert kept.begin("t", "b", b"x", 0.0).action == "wait"


@given(
    st.lists(st.tuples(st.sampled_from(["begin", "finish", "fail"]), st.sampled_from("abcdef"), st.integers(0, 600)))
)
def test_memory_is_bounded_whatever_happens(steps: list[tuple[str, str, int]]) -> None:
    kept, answers = keys(most_keys=4), dict[str, bytes]()
    for now, (what, name, size) in enumerate(steps):
        if what == "begin":
            verdict = kept.begin("t", name, b"x", now / 10)
            assert verdict.action != "replay" or verdict.answer == answers[name]
        elif what == "finish" and kept.begin("t", name, b"x", now / 10).action == "wait":
            answers[name] = b"." * size
            kept.finish("t", name, answers[name])
        elif what == "fail" and kept.begin("t", name, b"x", now / 10).action == "wait":
            kept.fail("t", name)
        assert len(kept) <= 4
        assert kept.size <= 1000
