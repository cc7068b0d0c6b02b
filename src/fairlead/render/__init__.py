"""Plan to files: one module a target, pure functions from a spec to texts."""
