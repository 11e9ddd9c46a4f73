"""Frames that the station keeps on disk: the writer, and the retention that decides which go first.

Written after the verdict, which waits for no disk; each file is noted in the ledger once it is
there.
"""
