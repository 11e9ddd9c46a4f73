"""Lineside: from a folder of part images to a supervised verdict on every part at the line.

`stages` are the steps of `dvc repro`, `daemon` is the inspection station, `cli` is the `lineside`
command. Everything below them is shared, so that what was evaluated is what runs. Calls point
downward only (`tests/test_boundaries.py` holds the order).
"""

__version__ = "0.1.0"
