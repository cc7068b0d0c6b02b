"""One engine replica, computed iteration by iteration without approximation, but in jumps where nothing changes.

The rules are those of vLLM's scheduler: an iteration decodes one token for every running sequence and fills the rest
of its token budget with waiting prompts, first come first served, in chunks if need be; a prompt's last chunk gives its
first token. While no prompt waits and no sequence ends, n sequences lengthen by one token an iteration, so that k
iterations take k * t + context_token_s * n * k * (k - 1) / 2 seconds: one jump.

One thing is simplified: a sequence is admitted only when the KV cache has room for its whole length, so none is ever
preempted (vLLM admits earlier and may have to take a sequence's memory back).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from fairlead.plan.autoscale.demand import Records
from fairlead.plan.autoscale.engine_model import EngineModel


class Replica:
    """State at the end of an iteration: `clock` is that moment, `step` the number of iterations so far."""

    __slots__ = (
        "clock",
        "context",
        "ending",
        "engine",
        "filling",
        "ongoing",
        "records",
        "reserved",
        "running",
        "step",
        "waiting",
    )  # fmt: skip

    def __init__(self, engine: EngineModel, records: Records, clock: float) -> None:
        self.engine = engine
        self.records = records
        self.clock = clock
        self.step = 0
        self.running = 0
        self.context = 0
        self.reserved = 0
        self.ongoing = 0
        self.ending: list[tuple[int, int]] = []  # heap of (last step, request)
        self.filling: deque[list[int]] = deque()  # [request, prompt tokens left to compute]
        self.waiting: deque[int] = deque()

    def submit(self, request: int) -> None:
        """Queue a request. The caller has advanced the replica to the moment of its arrival."""
        self.ongoing += 1
        self.waiting.append(request)

    def advance(self, until: float) -> None:
        """Compute until the end of the iteration that is under way at `until`, or to `until` if there is no work."""
        while self.clock < until:
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
        begun = [request for request, _ in self.filling] + [request for _, request in self.ending]
        return sorted([*begun, *self.waiting])

    def _admit(self) -> None:
        engine, records = self.engine, self.records
        places = engine.max_sequences - self.running - len(self.filling)
        while self.waiting and places > 0:
            request = self.waiting[0]
            length = min(records.length[request], engine.kv_tokens)  # longer than the cache: it runs alone
            if self.reserved + length > engine.kv_tokens:
                return
            self.reserved += length
            self.filling.append([self.waiting.popleft(), records.prompt[request]])
            places -= 1

    def _fill(self) -> None:
        """One iteration that computes prompt tokens beside the running sequences."""
        engine, records, filling = self.engine, self.records, self.filling
        budget = max(1, engine.batched_tokens - self.running)
        taken, done = 0, []
        while filling and taken < budget:
            first = filling[0]
            chunk = min(first[1], budget - taken)
            taken += chunk
            first[1] -= chunk
            if first[1]:
                break
            done.append(first[0])
            filling.popleft()
        self.clock += (
            engine.iteration_s
            + engine.sequence_s * self.running
            + engine.context_token_s * self.context
            + engine.prompt_token_s * taken
        )
        self.step += 1
        self.context += self.running
        if self.ending and self.ending[0][0] <= self.step:
            self._end()
        for request in done:
            records.first_token[request] = self.clock
            self.running += 1
            self.context += records.prompt[request] + 1
            heappush(self.ending, (self.step + records.output[request] - 1, request))
        if done:
            self._end()

    def _decode(self, until: float) -> None:
        """As many iterations as end before something changes, or as it takes to reach `until`."""
        engine, running = self.engine, self.running
        growth = engine.context_token_s
        first = engine.iteration_s + engine.sequence_s * running + growth * self.context
        growth *= running
        left = until - self.clock
        steps = int(left / first) + 1  # at most: iterations only grow longer
        before_an_end = self.ending[0][0] - self.step
        steps = min(steps, before_an_end)
        while steps > 1 and (steps - 1) * (first + growth * (steps - 2) / 2) >= left:
            steps -= 1
        self.clock += steps * (first + growth * (steps - 1) / 2)
        self.step += steps
        self.context += running * steps
        if steps == before_an_end:
            self._end()

    def _end(self) -> None:
        ending, step, records = self.ending, self.step, self.records
        while ending and ending[0][0] <= step:
            request = heappop(ending)[1]
            length = records.length[request]
            self.running -= 1
            self.ongoing -= 1
            self.context -= length
            self.reserved -= min(length, self.engine.kv_tokens)
            records.finish(request, self.clock)
