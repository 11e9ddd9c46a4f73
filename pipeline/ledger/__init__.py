"""The station's ledger: the account of every trigger, in one SQLite file.

Owns the schema, the one writer and the one read-only opener; audit, reviews, records and the outbox
are read and written here and nowhere else. Calls `contracts` only, so stations, data sets and the
command line go through the same door.
"""
