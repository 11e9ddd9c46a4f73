"""Reports of measurement system analysis, to be signed.

May call its neighbours in `reporting`, `metrics`, `imaging` and `contracts`.
"""
