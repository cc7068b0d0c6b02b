"""What every OpenAI-compatible engine has to do: one table of checks, run on each engine and through the gateway."""
