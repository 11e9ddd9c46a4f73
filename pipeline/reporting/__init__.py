"""What people look at before they read: plots and galleries, as CSV and PNG.

May call `metrics`, `imaging` and `contracts`; `stages` call it.
"""
