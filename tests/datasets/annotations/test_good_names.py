"""Names of good parts."""

from __future__ import annotations

import pytest

from pipeline.datasets.annotations.good_names import is_good

GOOD = ["good", "OK", "ok_front", "Okay", "no_defect", "No-Defects", "defect free", "non-defective"]
GOOD += ["normal", "Gut", "i.O.", "good parts", "undamaged", "PASS"]
BAD = ["scratch", "NOK", "not_ok", "not good", "n.i.O.", "abnormal", "NG", "defective", "no good"]
BAD += ["goodyear", "broken", "bad", "nicht gut"]


@pytest.mark.parametrize("label", GOOD)
def test_a_name_of_good_parts_is_known(label: str) -> None:
    assert is_good(label)


@pytest.mark.parametrize("label", BAD)
def test_a_name_of_a_defect_does_not_pass(label: str) -> None:
    assert not is_good(label)
