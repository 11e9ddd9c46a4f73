"""Pure data that every side agrees on: what is expected, what was seen, what was decided.

Owns the preprocess spec, the taxonomy, samples, records, the formats of the ledger and of the
bundle on disk. May call the standard library, pydantic and numpy; nothing of ours but `errors`,
`files` and `plugins.Strict`.
"""
