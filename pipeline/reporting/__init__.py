"""Reports for people: plots, galleries, evaluation and validation pages, model card.

May call `datasets`, `metrics`, `imaging` and `contracts`; `stages` and `cli` call it.
"""
