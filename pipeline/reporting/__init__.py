"""What people look at before they read: plots, galleries and the page of the validation report.

May call `datasets`, `metrics`, `imaging` and `contracts`; `stages` and `cli` call it.
"""
