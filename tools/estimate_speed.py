"""What an estimate costs in processor time: prints the table of docs/estimates.md. `make estimate-speed`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from fairlead.plan.constants import shipped
from fairlead.plan.deployment import deployment
from fairlead.plan.estimate import Estimate, estimate
from fairlead.plan.served import served
from fairlead.plan.traffic import Traffic, lengths
from fairlead.plan.workload import Workload

RUNS = 5
H200 = deployment("Llama-3.1-8B", "H200-SXM", dtype="fp8", engine_name="trtllm")
L4 = deployment("Llama-3.1-8B", "L4", dtype="fp8")
TAILED = lengths((1024, 3000), (256, 700))


def closed(prompt: int, output: int, clients: int | None) -> Callable[[], Estimate]:
    """Equal requests from clients that wait; None: an offline queue."""
    return lambda: estimate(H200, Workload(prompt=prompt, output=output, clients=clients), shipped())


def open_loop(rate: float) -> Callable[[], Estimate]:
    """Requests of different lengths that come by themselves."""
    return lambda: served(L4, Traffic(lengths=TAILED, rate=rate), shipped())


CASES = {
    "16 clients, 1,024 + 1,024 tokens": closed(1024, 1024, 16),
    "4,096 clients, 1,024 + 1,024 tokens": closed(1024, 1024, 4096),
    "offline queue, 30,000 requests of 128 + 128 tokens": closed(128, 128, None),
    "offline queue, 1,000 requests of 20,000 + 2,000 tokens": closed(20_000, 2_000, None),
    "open loop, 1 request/s, long tails (simulated)": open_loop(1.0),
    "open loop, 2 requests/s, long tails (simulated)": open_loop(2.0),
}


def main() -> None:
    """The best of RUNS, in milliseconds of this process."""
    sys.stdout.write("| estimate | ms |\n|---|---|\n")
    for name, ask in CASES.items():
        took = []
        for _ in range(RUNS):
            began = time.process_time()
            ask()
            took.append(time.process_time() - began)
        sys.stdout.write(f"| {name} | {min(took) * 1e3:.1f} |\n")


if __name__ == "__main__":
    main()
