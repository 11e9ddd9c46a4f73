"""Agreement of appraisers with themselves, with one another and with a reference.

Owns the figures of an attribute agreement study. May call its neighbours in `metrics` and
`contracts`.
"""
