"""One engine replica, computed iteration by iteration without approximation, but in jumps where nothing changes.

The rules are those of vLLM's scheduler: an iteration decodes one token for every running sequence and fills the rest
of its token budget with waiting prompts, first come first served, in chunks if need be; a prompt's last chunk gives its
first token. While no prompt waits and no sequence ends, n sequences lengthen by one token an iteration, so that k
iterations take k * t + context_token_s * n * k * (k - 1) / 2 seconds: one jump.

A prompt is admitted when the KV cache has room for all of it (vLLM's `scheduler_reserve_full_isl`, its default). What
is decoded later may still fill the cache: then the newest sequence is taken out, waits in front, and is computed anew
from its first token to its last (recompute, first come first served). Tokens that a prefix cache holds are not
computed, but take room: each sequence has its own.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from math import inf

from fairlead.plan.autoscale.demand import Records
from fairlead.plan.autoscale.engine_model import EngineModel


class Replica:
    """State at the end of an iteration: `clock` is that moment, `step` the number of iterations so far."""

    __slots__ = (
        "admitted",
        "clock",
        "context",
        "ending",
        "engine",
        "filling",
        "held",
        "ongoing",
        "preemptions",
        "records",
        "redo",
        "running",
        "steps",
        "waiting",
    )  # fmt: skip

    def __init__(self, engine: EngineModel, records: Records, clock: float) -> None:
        self.engine = engine
        self.records = records
        self.clock = clock
        self.steps = 0
        self.running = 0
        self.context = 0  # tokens of all running sequences
        self.held = 0  # tokens of all prompts that are being computed
        self.ongoing = 0
        self.preemptions = 0
        self.ending: list[tuple[int, int]] = []  # heap of (last step, request)
        self.filling: deque[list[int]] = deque()  # [request, tokens left to compute, tokens computed]
        self.waiting: deque[int] = deque()
        self.admitted: list[int] = []  # in this order; those that have ended since are left out when it is read
        self.redo: dict[int, int] = {}  # tokens that a preempted request had given

    def submit(self, request: int) -> None:
        """Queue a request. The caller has advanced the replica to the moment of its arrival."""
        self.ongoing += 1
        self.waiting.append(request)

    def advance(self, until: float) -> None:
        """Compute until the end of the iteration that is under way at `until`, or to `until` if there is no work."""
        while self.clock < until:
            self.step(until)

    def step(self, until: float) -> None:
        """One iteration with prompts in it, or iterations without until something changes or `until` is reached."""
        if self.context + self.held > self.engine.kv_tokens:
            self._preempt()
        if self.waiting:
            self._admit()
        if self.filling:
            self._fill()
        elif self.running:
            self._decode(until)
        else:
            self.clock = until

    def unfinished(self) -> list[int]:
        """The requests under way, in order of their number."""
        begun = [item[0] for item in self.filling] + [request for _, request in self.ending]
        return sorted([*begun, *self.waiting])

    def _admit(self) -> None:
        engine, records = self.engine, self.records
        places = engine.max_sequences - self.running - len(self.filling)
        while self.waiting and places > 0:
            request = self.waiting[0]
            needed = records.prompt[request] + self.redo.get(request, 0)
            alone = not (self.running or self.filling)  # longer than the cache: it runs alone
            if self.context + self.held + needed > engine.kv_tokens and not alone:
                return
            self.held += needed
            cached = records.cached[request]
            self.filling.append([self.waiting.popleft(), needed - cached, cached])
            places -= 1

    def _preempt(self) -> None:
        """Take out the newest sequences until the others have room for their next tokens."""
        records, redo = self.records, self.redo
        while self.context + self.held > self.engine.kv_tokens and self.running + len(self.filling) > 1:
            self.preemptions += 1
            if self.filling:
                request = self.filling.pop()[0]
                self.held -= records.prompt[request] + redo.get(request, 0)
            else:
                request = self._newest()
                last = next(step for step, other in self.ending if other == request)
                self.ending.remove((last, request))
                heapify(self.ending)
                redo[request] = records.output[request] - (last - self.steps)
                self.running -= 1
                self.context -= records.prompt[request] + redo[request]
            self.waiting.appendleft(request)

    def _newest(self) -> int:
        request = self.admitted.pop()
        while self.records.end[request] < inf:
            request = self.admitted.pop()
        return request

    def _fill(self) -> None:
        """One iteration that computes prompt tokens beside the running sequences."""
        engine, filling = self.engine, self.filling
        budget = max(1, engine.batched_tokens - self.running)
        taken, attended, done = 0, 0.0, []
        while filling and taken < budget:
            first = filling[0]
            chunk = min(first[1], budget - taken)
            taken += chunk
            attended += chunk * (first[2] + chunk / 2)
            first[1] -= chunk
            first[2] += chunk
            if first[1]:
                break
            done.append(first[0])
            filling.popleft()
        self.clock += engine.filling_s(self.running, self.context, taken, attended)
        self.steps += 1
        self.context += self.running
        if self.ending and self.ending[0][0] <= self.steps:
            self._end()
        if done:
            self._begin(done)
            self._end()

    def _begin(self, requests: list[int]) -> None:
        """These have their first token, or the next after those that they had before."""
        records = self.records
        for request in requests:
            had = self.redo.pop(request, 0)
            if not had:
                records.first_token[request] = self.clock
            length = records.prompt[request] + had
            self.running += 1
            self.held -= length
            self.context += length + 1
            self.admitted.append(request)
            heappush(self.ending, (self.steps + records.output[request] - had - 1, request))

    def _decode(self, until: float) -> None:
        """As many iterations as end before something changes, or as it takes to reach `until`."""
        engine, running = self.engine, self.running
        growth = engine.context_token_s
        first = engine.iteration_s + engine.sequence_s * running + growth * self.context
        if engine.experts_s:
            first += engine.experts_s * (1 - engine.expert_missed**running)
        growth *= running
        left = until - self.clock
        before_an_end = self.ending[0][0] - self.steps
        steps = before_an_end
        if left < steps * first:
            steps = int(left / first) + 1  # at most: iterations only grow longer
            steps = min(steps, before_an_end)
        if running > 1:
            steps = min(steps, (engine.kv_tokens - self.context) // running + 1)  # from then on the cache is too small
        while steps > 1 and (steps - 1) * (first + growth * (steps - 2) / 2) >= left:
            steps -= 1
        self.clock += steps * (first + growth * (steps - 1) / 2)
        self.steps += steps
        self.context += running * steps
        if steps == before_an_end:
            self._end()

    def _end(self) -> None:
        ending, step, records = self.ending, self.steps, self.records
        while ending and ending[0][0] <= step:
            request = heappop(ending)[1]
            self.running -= 1
            self.ongoing -= 1
            self.context -= records.length[request]
            records.finish(request, self.clock)
