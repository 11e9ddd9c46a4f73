"""What the station's control charts need of its ledger: counts, limits that people set, events.

Owns the SQL on closed records by a quarter of an hour, on samples of drift, on baselines, and on
events that are delivered to sinks. May call what the ledger may.
"""
