"""What an engine emits: the names of vLLM 0.32, which the embedded engine uses too."""

from __future__ import annotations

from fairlead.signals import Kind, Signal

MODEL = ("model_name",)
SOURCE = "vLLM 0.32, /metrics of a running server (CPU build), 2026-11-20"


def _vllm(name: str, kind: Kind, help_text: str, labels: tuple[str, ...] = MODEL) -> Signal:
    return Signal(f"vllm:{name}", kind, labels, help_text, source=SOURCE)


RUNNING = _vllm("num_requests_running", "gauge", "Requests in the engine's running batch.")
WAITING = _vllm("num_requests_waiting", "gauge", "Requests in the engine's queue.")
KV_CACHE = _vllm("kv_cache_usage_perc", "gauge", "Share of the KV cache in use, 0 to 1.")
PREFIX_QUERIES = _vllm("prefix_cache_queries_total", "counter", "Prompt tokens looked up in the prefix cache.")
PREFIX_HITS = _vllm("prefix_cache_hits_total", "counter", "Prompt tokens found in the prefix cache.")
PROMPT_TOKENS = _vllm("prompt_tokens_total", "counter", "Prompt tokens processed.")
GENERATION_TOKENS = _vllm("generation_tokens_total", "counter", "Tokens generated.")
SUCCESS = _vllm("request_success_total", "counter", "Finished requests.", ("model_name", "finished_reason"))
PREEMPTIONS = _vllm("num_preemptions_total", "counter", "Requests pushed out of a full KV cache, to be computed again.")
TTFT = _vllm("time_to_first_token_seconds", "histogram", "Arrival at the engine to the first token.")
ITL = _vllm("inter_token_latency_seconds", "histogram", "Time between two tokens of a request.")
TPOT = _vllm("request_time_per_output_token_seconds", "histogram", "Mean time of a request's tokens after the first.")
E2E = _vllm("e2e_request_latency_seconds", "histogram", "Arrival at the engine to the last token.")
QUEUE_TIME = _vllm("request_queue_time_seconds", "histogram", "Arrival at the engine to the running batch.")
PREFILL_TIME = _vllm("request_prefill_time_seconds", "histogram", "Running batch to the first token.")
DECODE_TIME = _vllm("request_decode_time_seconds", "histogram", "First to last token.")

VLLM: tuple[Signal, ...] = (
    RUNNING,
    WAITING,
    KV_CACHE,
    PREFIX_QUERIES,
    PREFIX_HITS,
    PROMPT_TOKENS,
    GENERATION_TOKENS,
    SUCCESS,
    PREEMPTIONS,
    TTFT,
    ITL,
    TPOT,
    E2E,
    QUEUE_TIME,
    PREFILL_TIME,
    DECODE_TIME,
)
