"""Few settings of the pictures, tried by a plain head on backbone features: `lineside tune`.

Owns the `trials`, the `probe` that scores one of them, `figures` with intervals, and `edits` of the
YAML. May call all of `training` below `methods`, `inference`, `datasets`, `imaging`, `contracts`.
"""
