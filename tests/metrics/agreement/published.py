"""Published attribute studies: answers of three appraisers, three trials each, and the reference.

Not collected as tests; 1 is good, 0 is bad.
"""

from __future__ import annotations

import numpy as np

from pipeline.metrics.agreement.attribute import AppraiserAnswers
from pipeline.metrics.agreement.kappa import Ints

# AIAG, Measurement Systems Analysis, 4th edition, 2010, table III-C 1: parts 1 to 50; trials of
# appraiser A, B and C, then the reference.
AIAG = """
111 111 111 1   111 111 111 1   000 000 000 0   000 000 000 0   000 000 000 0
110 110 100 1   111 111 101 1   111 111 111 1   000 000 000 0   111 111 111 1
111 111 111 1   000 000 010 0   111 111 111 1   110 111 100 1   111 111 111 1
111 111 111 1   111 111 111 1   111 111 111 1   111 111 111 1   111 111 111 1
110 101 010 1   001 010 110 0   111 111 111 1   111 111 111 1   000 000 000 0
010 000 001 0   111 111 111 1   111 111 111 1   111 111 111 1   000 001 000 0
111 111 111 1   111 111 111 1   111 111 111 1   001 001 011 0   111 111 111 1
110 111 101 1   000 000 000 0   111 111 111 1   000 000 000 0   111 111 111 1
111 111 111 1   000 000 000 0   101 111 110 1   111 111 111 1   000 000 000 0
111 111 111 1   111 111 111 1   000 000 000 0   111 111 111 1   000 000 000 0
"""
# Black spots on the bores of plain bearings; from the tests of JASP's quality control module
# (github.com/jasp-stats/jaspQualityControl, tests/testthat/AAARow.csv): appraisers EG, BL and MH.
BEARINGS = """
000 000 000 0   111 111 000 1   000 000 000 0   011 011 000 0   000 000 000 0
000 000 000 1   000 111 000 0   111 111 110 1   111 111 011 1   000 000 000 0
111 111 010 1   000 000 000 0   000 000 000 0   111 111 111 0   000 000 000 0
"""


def read(table: str, *names: str) -> tuple[Ints, list[AppraiserAnswers]]:
    """The reference and the answers of a table."""
    cells = table.split()
    width = len(names) + 1
    rows = [cells[i : i + width] for i in range(0, len(cells), width)]
    answers = [
        AppraiserAnswers(name, np.array([[int(c) for c in row[i]] for row in rows], np.intp))
        for i, name in enumerate(names)
    ]
    return np.array([int(row[-1]) for row in rows], np.intp), answers
