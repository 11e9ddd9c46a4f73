"""Challenge runs in the ledger: what was presented, what was found, when one is needed.

`presenting` writes the records of known parts as they come, `runs` the runs and what they are
needed after. May call what the ledger may.
"""
