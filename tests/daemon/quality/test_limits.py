"""Limits of the p-chart and the p'-chart, held against published examples."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.daemon.quality.limits import Limits, chi_squared_99, fitted, laney_sigma_z

# Cans of orange juice, 30 samples of 50: D. C. Montgomery, "Introduction to Statistical Quality
# Control", example 7.1 (6.1 in earlier editions): centre 0.2313, limits 0.0524 and 0.4102.
ORANGE_JUICE = [
    *(12, 15, 8, 10, 4, 7, 16, 9, 14, 10, 5, 6, 17, 12, 22),
    *(8, 10, 5, 13, 11, 20, 18, 24, 15, 9, 12, 7, 13, 9, 6),
]
# Attendances at emergency departments, and those seen within 4 hours, in 20 weeks: data set
# `nhs_accidents` of the R package qicharts2, from M. A. Mohammed et al., 2013. Their p'-chart in
# J. Anhoej, "SPC for Healthcare" (chapter on prime charts), has 95.3 % as centre and 94.0 % and
# 96.6 % as limits of the last week.
ATTENDANCES = [
    *(280443, 276823, 291681, 296155, 282343, 275888, 283867, 295251, 284468, 282529),
    *(279618, 283932, 266629, 268091, 276803, 271578, 266005, 273520, 278574, 273772),
]
IN_TIME = [
    *(266501, 264225, 276532, 281461, 269071, 261215, 270409, 279778, 270483, 270320),
    *(267923, 271478, 255353, 256820, 261835, 259144, 255910, 260863, 264465, 260989),
]


def test_the_p_chart_is_that_of_montgomerys_example() -> None:
    limits = fitted([50] * 30, ORANGE_JUICE)
    assert (limits.chart, limits.sigma_z) == ("p", 1.0)
    assert limits.centre == pytest.approx(0.2313, abs=5e-5)
    assert limits.lower(50) == pytest.approx(0.0524, abs=5e-5)
    assert limits.upper(50) == pytest.approx(0.4102, abs=5e-5)
    z = limits.standardized([50] * 30, ORANGE_JUICE)
    assert [int(at) + 1 for at in np.flatnonzero(z > 3)] == [15, 23]  # as Montgomery finds


def test_the_p_prime_chart_is_that_of_qicharts2() -> None:
    limits = fitted(ATTENDANCES, IN_TIME)
    assert limits.chart == "p_prime"
    assert limits.centre == pytest.approx(0.953, abs=5e-4)
    assert limits.lower(ATTENDANCES)[-1] == pytest.approx(0.940, abs=5e-4)
    assert limits.upper(ATTENDANCES)[-1] == pytest.approx(0.966, abs=5e-4)
    assert np.abs(limits.standardized(ATTENDANCES, IN_TIME)).max() < 3


def test_without_laneys_factor_most_of_those_weeks_would_be_signals() -> None:
    plain = Limits("p", fitted(ATTENDANCES, IN_TIME).centre)
    z = plain.standardized(ATTENDANCES, IN_TIME)
    assert np.mean(np.abs(z) > 3) > 0.5
    assert laney_sigma_z(z) == fitted(ATTENDANCES, IN_TIME).sigma_z


def test_large_subgroups_that_vary_by_chance_alone_get_the_p_chart() -> None:
    rng = np.random.default_rng(7)
    fails = rng.binomial(5000, 0.02, 25).tolist()
    assert fitted([5000] * 25, fails).chart == "p"


def test_small_subgroups_get_the_p_chart_however_they_vary() -> None:
    assert fitted([50] * 20, [2, 20] * 10).chart == "p"
    assert fitted([5000] * 20, [200, 2000] * 10).chart == "p_prime"


def test_limits_stay_between_none_and_all_and_are_wider_for_few_parts() -> None:
    limits = Limits("p", 0.02)
    assert limits.lower(50) == 0.0
    assert limits.upper([50, 5000])[0] > limits.upper([50, 5000])[1]
    assert Limits("p", 0.98).upper(50) == 1.0


@pytest.mark.parametrize(("n", "fails"), [([50], [1]), ([50, 50], [0, 0]), ([50, 50], [50, 50])])
def test_there_are_no_limits_without_fails_or_without_subgroups(
    n: list[int], fails: list[int]
) -> None:
    with pytest.raises(ValueError, match="two subgroups"):
        fitted(n, fails)


# NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4.
@pytest.mark.parametrize(("degrees", "quantile"), [(19, 36.191), (29, 49.588), (50, 76.154)])
def test_the_quantile_of_chi_squared_is_that_of_the_tables(degrees: int, quantile: float) -> None:
    assert chi_squared_99(degrees) == pytest.approx(quantile, rel=1e-3)
