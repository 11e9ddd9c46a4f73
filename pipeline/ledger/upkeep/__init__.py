"""What keeps a ledger's file sound and small: its check, its recovery, its archives.

Each works on the file beside or instead of a station, and calls only the rest of `ledger`.
"""
