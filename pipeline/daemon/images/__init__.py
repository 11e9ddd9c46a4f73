"""Frames kept on disk: the image writer, and the retention that decides which are removed first.

Written after the verdict, which never waits for the disk; a file is noted in the ledger once it
exists.
"""
