"""The worker process: settings in, a served model out; 0 after a clean stop, another status and one line otherwise."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

from fairlead.engine.openvino.settings import Settings, context_tokens, kv_blocks, parse
from fairlead.errors import UserError

log = logging.getLogger("fairlead.engine.openvino")


def main(argv: Sequence[str]) -> int:
    """Run the worker; return the exit status of the process."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    settings = parse(argv)
    try:
        return _serve(settings)
    except UserError as error:
        log.error("%s", error)
        return error.exit_code


def _serve(settings: Settings) -> int:
    """Load first, then listen: a port that answers belongs to a model that is ready."""
    from fairlead.engine.openvino.model_files import resolve
    from fairlead.engine.openvino.openvino_api import BLOCK_TOKENS, kv_block_bytes, open_pipeline
    from fairlead.engine.openvino.scheduler import Limits

    files = resolve(settings.model, settings.cache_dir)
    context = context_tokens(settings.max_model_len, files.shape.context, settings.model)
    block_bytes = kv_block_bytes(files.shape)
    blocks = kv_blocks(settings.kv_cache_bytes, block_bytes, BLOCK_TOKENS, context, settings.model)
    pipeline = open_pipeline(files.gguf, kv_blocks=blocks, max_num_seqs=settings.max_num_seqs)
    limits = Limits(settings.max_num_seqs, settings.max_queue, blocks, BLOCK_TOKENS)
    return _run(settings, files, pipeline, limits, context)


def _run(settings: Settings, files: Any, pipeline: Any, limits: Any, context: int) -> int:
    from fairlead.engine.openvino.worker import Worker

    async def work() -> int:
        return await Worker(settings, files, pipeline, limits, context).run()

    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.run(work())
    return uvloop.run(work())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
