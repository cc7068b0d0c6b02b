"""The hot path: bytes in, bytes out. Knows `gateway.json` and nothing of the compiler behind it."""
