"""Evaluation of a sealed bundle: figures on test parts, robustness, heat maps, gate.

May call `inference`, `datasets`, `metrics`, `imaging`, `registry` and `contracts`, and `training`
for what needs the network itself; `stages` call it.
"""
