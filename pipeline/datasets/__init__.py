"""Data sets: a tree of images becomes a list of `Sample`s, then a manifest, then shards.

Owns the `location` of data, the `adapters` (one a file), `splits`, the `manifest` that ingest
writes, the `shards` that preprocess writes and the out-of-fold `scores` that train writes. May call
`imaging` and `contracts`.
"""
