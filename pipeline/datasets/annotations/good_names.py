"""Names that people give to parts without a defect."""

from __future__ import annotations

import re

# What people call a part without a defect, in lower case with one space between words.
_GOOD = frozenset(
    {
        *("good", "ok", "okay", "pass", "passed", "normal", "perfect", "fine", "healthy", "clean"),
        *("intact", "undamaged", "flawless", "accept", "accepted", "acceptable", "negative"),
        *("no defect", "no defects", "without defect", "defect free", "defectfree", "nodefect"),
        *("non defective", "nondefective", "not defective", "gut", "io", "i o"),
    }
)
_GOOD_WORDS = frozenset({"good", "ok", "okay", "normal", "gut", "undamaged", "intact"})
_NOT = frozenset({"no", "not", "non", "nicht", "ab", "n", "un"})


def is_good(label: str) -> bool:
    """Is a label one that people give to parts without a defect?"""
    words = re.findall(r"[^\W\d_]+", label.lower())
    if " ".join(words) in _GOOD:
        return True
    return bool(_GOOD_WORDS.intersection(words)) and not _NOT.intersection(words)
