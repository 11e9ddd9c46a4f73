"""Reports for people: plots, galleries, evaluation, validation and study pages, model card.

May call `datasets`, `metrics`, `imaging` and `contracts`; `stages` and `cli` call it.
"""
