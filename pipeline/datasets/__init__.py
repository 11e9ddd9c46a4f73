"""Data sets: a tree on disk becomes a list of `Sample`s, then a manifest, then shards.

Owns the `adapters` (one a file), the `examination` of what they found (`duplicates`, `ranges`,
`suspects`, `lookup`), `splits`, the `manifest` that ingest writes, the `shards` that preprocess
writes and the out-of-fold `scores` that train writes. May call `imaging` and
`contracts`.
"""
