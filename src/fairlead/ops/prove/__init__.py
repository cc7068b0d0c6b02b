"""`fairlead prove`: every claim of the file at hand, tried on real processes, with a figure.

A proof is a function from a stage (the service, running on this machine under ports and a state folder of its own) to
an outcome. `PROOFS` is the readable list of them; `FIELDS` says which proof stands behind each field of the spec.
"""
