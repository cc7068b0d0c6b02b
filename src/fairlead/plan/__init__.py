"""How much of what: sizes, speeds, costs and replicas. Pure; time and randomness come in as arguments."""
