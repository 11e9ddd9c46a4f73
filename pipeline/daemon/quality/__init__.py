"""Statistical process control of the station's own verdicts.

`subgroups` cuts the ledger's counts into subgroups, `limits` are the limits of their control chart,
`patterns` the tests for signals, `chart` puts them together, `history` shows what else changed with
time, and `watch` is the worker that counts records and notes each new signal as an event. Needs
NumPy only. May call what a room of its floor may.
"""
