"""What a recipe for a data set could be, by looking at it: proposals with their reasons.

Owns the proposed `classes`, `grouping`, `pixels` and the `recipe` of them, which writes the YAML of
`conf/<recipe>/`. May call all of `datasets` below it, `imaging` and `contracts`.
"""
