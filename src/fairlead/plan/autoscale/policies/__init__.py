"""How many replicas: one module a policy, each with the source of its algorithm."""
