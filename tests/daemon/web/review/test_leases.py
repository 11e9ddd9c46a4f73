"""Two people never have the same part in hand."""

from __future__ import annotations

import threading

from pipeline.daemon.web.review.leases import Leases
from pipeline.testing import FakeClock


def test_a_part_in_a_persons_hand_is_not_given_to_another() -> None:
    leases = Leases(FakeClock())
    assert (leases.take("1", "anna"), leases.take("1", "kim")) == ("", "anna")
    assert (leases.of("anna"), leases.of("kim")) == (["1"], [])


def test_a_lease_ends_with_its_time_and_lasts_as_long_again_after_each_sign_of_life() -> None:
    clock = FakeClock()
    leases = Leases(clock, lasts_s=60)
    leases.take("1", "anna")
    clock.advance(59)
    assert leases.take("1", "anna") == ""
    clock.advance(59)
    assert leases.take("1", "kim") == "anna"
    clock.advance(1)
    assert leases.take("1", "kim") == ""
    assert leases.take("1", "anna") == "kim"


def test_only_who_has_a_part_gives_it_back() -> None:
    leases = Leases(FakeClock())
    leases.take("1", "anna")
    leases.release("1", "kim")
    assert leases.take("1", "kim") == "anna"
    leases.release("1", "anna")
    assert leases.take("1", "kim") == ""


def test_of_two_people_at_the_same_moment_one_gets_the_part() -> None:
    leases = Leases(FakeClock())
    start = threading.Barrier(8)
    got = list[str]()

    def take(person: str) -> None:
        start.wait()
        got.extend(person for n in range(200) if leases.take(str(n), person) == "")

    threads = [threading.Thread(target=take, args=(f"p{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 200
