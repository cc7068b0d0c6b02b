"""Real engines: start, watch and stop an OpenAI-compatible server on this machine."""
