"""Which person has which part in hand, so that nobody else gets it meanwhile."""

from __future__ import annotations

import threading

from pipeline.daemon.runtime.clock import Clock

LASTS_S = 120.0  # after the last sign of life; an open page gives one each 30 s


class Leases:
    """Leases of parts, in the memory of the station's process. Thread-safe.

    A lease ends by an answer, when it is given back, or with its time: a tab that was closed keeps
    its parts from others no longer than that.
    """

    def __init__(self, clock: Clock, lasts_s: float = LASTS_S) -> None:
        self._clock = clock
        self._lasts_s = lasts_s
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}  # person and end by record

    def take(self, identity: str, person: str) -> str:
        """Take a part in hand, or keep it longer.

        Returns:
            "" where it is this person's now; else who has it.
        """
        with self._lock:
            self._forget_ended()
            holder, _ = self._held.get(identity, ("", 0.0))
            if holder not in ("", person):
                return holder
            self._held[identity] = person, self._clock.monotonic_s() + self._lasts_s
            return ""

    def release(self, identity: str, person: str) -> None:
        """Give a part back; nothing happens where it is another person's."""
        with self._lock:
            if self._held.get(identity, ("", 0.0))[0] == person:
                del self._held[identity]

    def of(self, person: str) -> list[str]:
        """The parts that this person has in hand, in the order in which they were taken."""
        with self._lock:
            self._forget_ended()
            return [identity for identity, (holder, _) in self._held.items() if holder == person]

    def _forget_ended(self) -> None:
        now_s = self._clock.monotonic_s()
        for identity in [i for i, (_, end_s) in self._held.items() if end_s <= now_s]:
            del self._held[identity]
