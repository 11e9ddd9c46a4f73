"""Data sets: a tree of images becomes a list of `Sample`s, then a manifest, then shards.

Owns the `location` of data, the `adapters` (one a file), the `scanning` and `examination` of what
they found (`duplicates`, `ranges`, `suspects`, `lookup`), `grouping` and `splits`, the `manifest`
that ingest writes, the `shards` that preprocess writes (by `sharding`) and the out-of-fold `scores`
that train writes. May call `imaging` and `contracts`.
"""
