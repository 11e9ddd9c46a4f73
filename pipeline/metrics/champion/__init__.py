"""Challenger and champion on the same parts: differences with intervals, and whether they matter.

May call the modules of `metrics` that count parts by their groups, and `contracts`.
"""
