"""Attribute agreement studies beside the station's ledger: parts, references, answers.

Owns the folder of a study, the proposal of its parts from the ledger's kept frames, and which
records of the ledger are the station's own answers. A study is a folder and no table of the ledger:
it outlives the retention of frames and the archiving of records, goes to an auditor as it is, and
is read on a desk without the station. Calls `contracts` and its neighbours in `ledger`.
"""
