"""Data sets: a tree of images becomes a list of `Sample`s, then a manifest, then shards.

Owns the `location` of data, the `adapters` (one a file), the `scanning` of what they found and its
`checks`, `grouping` and `splits`, the `manifest` that ingest writes, the `shards` that preprocess
writes (by `shard_writer`) and the out-of-fold `scores` that train writes. May call `ledger`,
`imaging` and `contracts`.
"""
