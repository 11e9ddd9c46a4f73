"""Which pictures of a stream a lost or damaged packet spoils."""

from __future__ import annotations

from dataclasses import dataclass, field

Log = list[tuple[int, str, str]]

_ERROR, _WARNING = 16, 24  # AV_LOG_ERROR, AV_LOG_WARNING
# What FFmpeg warns of but goes on after, and a part of a picture is missing all the same.
_MISSING = ("missed", "jitter buffer full", "EOI missing", "overread", "packet", "dropping")
_NUMBER_GAP = "Frame num gap"  # in H.264: a picture that others refer to did not come
_UNTIL = "nothing is judged until a clean key picture"


@dataclass
class Damage:
    """Which pictures a damaged packet spoils: those from it up to the next clean key picture."""

    intra_only: bool
    begun: bool = False  # a key picture has been sent: what comes before it is not a loss
    unreported: str = ""
    _key: int = -1  # the packet with the last clean key picture
    _errors: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, why: str) -> None:
        """The packet with this number is damaged."""
        if number not in self._errors:
            self._errors[number] = why
            if self.begun:
                self.unreported = self.unreported or why

    def lost(self, number: int, log: Log) -> None:
        """Look for losses in the messages logged while this packet was read."""
        why = reason(log)
        if why:
            self.add(number, why)
            if not self.intra_only:
                # A packet ends where the next begins: what was lost may be the next one's start.
                self._errors.setdefault(number + 1, why)

    def decoded(self, number: int, log: Log) -> None:
        """Look for errors in the messages logged while this packet was decoded."""
        if why := reason(log):
            self.add(number, why)

    def failed(self, number: int) -> bool:
        """Is this packet damaged, and was that not reported with a picture yet?"""
        return bool(self.unreported) and number in self._errors

    def report(self) -> str:
        """Why nothing is judged; from now on it counts as reported."""
        why, self.unreported = self.unreported, ""
        return f"stream damaged: {why}; {_UNTIL}"

    def fault(self, number: int, *, is_key: bool) -> str:
        """Why the picture of this packet is not to be judged, "" when it is."""
        if is_key and number not in self._errors:
            self.begun, self._key = True, number
            self._errors = {n: why for n, why in self._errors.items() if n > number}
            return ""
        for at, why in self._errors.items():
            if at <= number:
                return f"stream damaged: {why}; {_UNTIL}"
        return "" if self._key >= 0 else f"stream damaged: no clean key picture yet; {_UNTIL}"


def reason(log: Log) -> str:
    """What FFmpeg's log reports of damage, "" where nothing."""
    for level, _, text in log:
        warned = level <= _WARNING and any(word in text for word in _MISSING)
        if level <= _ERROR or warned or text.startswith(_NUMBER_GAP):
            return text.strip()
    return ""
