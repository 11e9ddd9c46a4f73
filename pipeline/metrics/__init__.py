"""Metrics: escapes and overkill with intervals, curves, calibration, limits.

Pure functions on arrays; no files, no images. May call `contracts` only.
"""
