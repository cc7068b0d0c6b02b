"""Ray's metrics in vLLM's own names: `ray_vllm_...` on every node becomes `vllm:...`, summed over the nodes.

So dashboards, alert rules and tests read one dialect, whatever runs the engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

OURS = frozenset(("model_name", "finished_reason", "le", "position"))  # all others say which process counted
# An engine tells these at each step, and Ray forgets a gauge once it was read: where they are missing, nothing runs.
IDLE = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
THEIRS, PLAIN = "ray_vllm_", "vllm:"
QUEUED = "ray_serve_deployment_queued_queries"


def in_plain_names(pages: Iterable[str]) -> str:
    """One exposition of what the nodes' pages say of vLLM."""
    types: dict[str, tuple[str, str]] = {}
    sums: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
    for family in _families(pages, THEIRS):
        name = PLAIN + family.name.removeprefix(THEIRS)
        types[name] = (family.type, family.documentation)
        for sample in family.samples:
            labels = tuple(sorted((key, value) for key, value in sample.labels.items() if key in OURS))
            sums[name, PLAIN + sample.name.removeprefix(THEIRS), labels] += sample.value
    models = {value for *_, labels in sums for key, value in labels if key == "model_name"}
    for name in IDLE if models else ():
        types.setdefault(name, ("gauge", "0 while the engine does nothing."))
        for model in models:
            sums[name, name, (("model_name", model),)] += 0.0
    return "".join(_lines(types, sums))


def queued(pages: Iterable[str]) -> int:
    """Requests that wait for a replica."""
    samples = (sample for family in _families(pages, QUEUED) for sample in family.samples)
    return int(sum(sample.value for sample in samples))


def _families(pages: Iterable[str], prefix: str) -> Iterator[Metric]:
    """The families whose names begin so; the other lines are not parsed: they are a megabyte a node."""
    wanted = (prefix, f"# HELP {prefix}", f"# TYPE {prefix}")
    for page in pages:
        lines = [line for line in page.splitlines() if line.startswith(wanted)]
        yield from text_string_to_metric_families("\n".join(lines) + "\n")


def _lines(
    types: dict[str, tuple[str, str]], sums: dict[tuple[str, str, tuple[tuple[str, str], ...]], float]
) -> Iterator[str]:
    for name, (kind, text) in types.items():
        suffix = "_total" if kind == "counter" else ""
        yield f"# HELP {name}{suffix} {text}\n# TYPE {name}{suffix} {kind}\n"
        for (family, sample, labels), value in sums.items():
            if family == name:
                inner = ",".join(f'{key}="{text}"' for key, text in labels)
                yield f"{sample}{{{inner}}} {value!r}\n"
