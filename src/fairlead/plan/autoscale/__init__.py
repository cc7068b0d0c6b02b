"""How many replicas and when: a day of requests against planned engines, under one scaling policy or another.

`replica` computes one engine iteration by iteration, `fleet` many of them with start-up, draining and reclaims,
`policies` decide how many, `compare` puts them side by side.
"""
