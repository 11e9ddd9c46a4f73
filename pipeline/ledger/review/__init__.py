"""What people find of parts: reviews in the ledger, and which parts wait for one.

Owns the reviews (`reviews`), the order of the parts that wait (`waiting`), parts of which people
think differently (`disagreements`) and how far the reviews are enough for the next training
(`progress`). The command line, the station's pages and data sets go through here. May call what
the ledger may.
"""
