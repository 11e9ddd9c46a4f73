"""Parts in several tiles that nothing marks: trained through the pooling of their tiles.

Multiple-instance learning (Dietterich, Lathrop and Lozano-Pérez, Artificial Intelligence 89, 1997):
only the part has a label, and a bad part may be bad in one tile of many. Takes features, heads and
targets; the tiles of a part stand next to each other everywhere.
"""
