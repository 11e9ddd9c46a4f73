"""The folder of one study. Its answers are appended one by one, and none is ever changed.

    study.json            Study: the plan
    parts/<number>.<end>  the picture of each part, a copy of the frame that the station kept
    references.jsonl      PartReference a line; the last one of a part counts
    appraiser-<n>.jsonl   Appraisal a line, in the order of the plan
    station.jsonl         Appraisal a line, from records of the station
    result.json           StudyResult, once it is computed
    report.html           for signature

A line is on the disk before the next part is shown. One that a power cut tore does not count: it
has no end, is not read, and the next answer takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.contracts.study import (
    SCHEMA,
    Appraisal,
    Judgement,
    PartReference,
    Study,
    StudyResult,
)
from pipeline.errors import DataError, choices
from pipeline.files import read_model, sole_writer, whole_folder, write_model, write_whole

PLAN, RESULT, REPORT = "study.json", "result.json", "report.html"
PARTS, REFERENCES, STATION_ANSWERS = "parts", "references.jsonl", "station.jsonl"

M = TypeVar("M", bound=BaseModel)


def studies_of(ledger: Path, station: str) -> Path:
    """The folder of a station's studies: beside its ledger."""
    return ledger.parent / "msa" / station


def names(root: Path) -> list[str]:
    """Names of the studies there are, the oldest first."""
    found = [path.parent for path in root.glob(f"*/{PLAN}") if not path.parent.name.startswith(".")]
    return [path.name for path in sorted(found, key=lambda p: (p / PLAN).stat().st_mtime)]


def make(
    root: Path, study: Study, pictures: Iterable[tuple[str, bytes]], known: Iterable[PartReference]
) -> StudyFolder:
    """Make a study with its pictures; it is there as a whole or not at all.

    Args:
        root: folder of the station's studies.
        study: the plan.
        pictures: path within the study's folder and content of each.
        known: reference verdicts that there are already.

    Raises:
        DataError: there is a study of this name already, or the folder cannot be written.
    """
    folder = root / study.name
    if folder.exists():
        raise DataError(f"{folder} is there already; give the new study another name")
    try:
        with whole_folder(folder) as made:
            (made / PARTS).mkdir()
            for path, data in pictures:
                (made / path).write_bytes(data)
            write_model(made / PLAN, study)
            lines = "".join(f"{reference.model_dump_json()}\n" for reference in known)
            (made / REFERENCES).write_text(lines, "utf-8")
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror or error})") from error
    return StudyFolder(folder)


def open_study(root: Path, name: str) -> StudyFolder:
    """The study of this name; raises DataError where there is none, or it cannot be used."""
    known = names(root)
    if name not in known:
        hint = choices(name, known) if known else "make one: lineside msa new LINE.yaml NAME"
        raise DataError(f'{root} has no study "{name[:100]}"; {hint}')
    return StudyFolder(root / name)


class StudyFolder:
    """One study. May be used from any thread, and by several programs at once.

    Attributes:
        path: of the folder.
        study: the plan.
    """

    def __init__(self, path: Path) -> None:
        """Read the plan.

        Raises:
            DataError: it is missing, damaged, or of a newer format.
        """
        self.path = path
        self.study = _read(path / PLAN, Study)
        if self.study.schema_version > SCHEMA:
            raise DataError(
                f"{path / PLAN} has format {self.study.schema_version}, this Lineside reads "
                f"{SCHEMA}; use the Lineside that made the study"
            )

    def references(self) -> dict[int, PartReference]:
        """The reference verdict of each part that has one; raises DataError."""
        return {r.part: r for r in _lines(self.path / REFERENCES, PartReference)}

    def set_references(self, references: Iterable[PartReference]) -> None:
        """Add reference verdicts, all of them or none.

        Raises:
            DataError: an unknown part, or the folder cannot be written.
        """
        given = list(references)
        for reference in given:
            self._known(reference.part)
        text = "".join(f"{reference.model_dump_json()}\n" for reference in given)
        self._locked(lambda: _append(self.path / REFERENCES, text))

    def appraisals(self, appraiser: str) -> list[Appraisal]:
        """A person's answers, in the order given; raises DataError."""
        return _lines(self._file(appraiser), Appraisal)

    def next(self, appraiser: str) -> tuple[int, int, int] | None:
        """Position from 0, trial and part number of what is to be judged next; None at the end."""
        done, order = len(self.appraisals(appraiser)), self.study.order(appraiser)
        return None if done >= len(order) else (done, *order[done])

    def answer(
        self,
        appraiser: str,
        position: int,
        judgement: Judgement,
        by: str = "",
        at: datetime | None = None,
    ) -> None:
        """Add a person's answer; it is on the disk when this returns.

        Args:
            appraiser: whose answer it is.
            position: of the presentation in the appraiser's order, from 0.
            judgement: good or bad.
            by: name of the token that sent it, "" without one.
            at: when, with a time zone; None: now.

        Raises:
            DataError: another position is next, as when the answer was sent twice; or the folder
                cannot be written.
        """
        moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")

        def add() -> None:
            due = self.next(appraiser)
            if due is None or due[0] != position:
                where = "all parts are judged" if due is None else f"{due[0] + 1} is next"
                raise DataError(
                    f"{appraiser}: part {position + 1} of {self.study.presentations} cannot be "
                    f"judged now, {where}; an answer counts once"
                )
            _, trial, part = due
            given = Appraisal(trial=trial, part=part, judgement=judgement, at=moment, by=by)
            _append(self._file(appraiser), f"{given.model_dump_json()}\n")

        self._locked(add)

    def station_appraisals(self) -> list[Appraisal]:
        """The station's answers, part by part; raises DataError."""
        return _lines(self.path / STATION_ANSWERS, Appraisal)

    def set_station_appraisals(self, found: Iterable[Appraisal]) -> None:
        """Keep the station's answers: those of before stay, in a file that is replaced whole."""
        text = "".join(f"{one.model_dump_json()}\n" for one in found)
        self._locked(lambda: write_whole(self.path / STATION_ANSWERS, text.encode()))

    def picture(self, number: int) -> Path:
        """The picture of a part; raises DataError for an unknown one."""
        self._known(number)
        return self.path / self.study.parts[number - 1].image

    def result(self) -> StudyResult | None:
        """What `lineside msa report` has computed, None before; raises DataError."""
        path = self.path / RESULT
        return _read(path, StudyResult) if path.exists() else None

    def write_result(self, result: StudyResult, report: bytes) -> Path:
        """Write what the study shows; returns the path of the report."""

        def write() -> None:
            write_whole(self.path / REPORT, report)
            write_model(self.path / RESULT, result)

        self._locked(write)
        return self.path / REPORT

    def _known(self, number: int) -> None:
        if not 1 <= number <= len(self.study.parts):
            raise DataError(
                f"{self.study.name} has no part {number}; choose 1 to {len(self.study.parts)}"
            )

    def _file(self, appraiser: str) -> Path:
        if appraiser not in self.study.appraisers:
            raise DataError(
                f'"{appraiser[:100]}" is not an appraiser of {self.study.name}; '
                f"{choices(appraiser, self.study.appraisers)}"
            )
        return self.path / f"appraiser-{self.study.appraisers.index(appraiser) + 1}.jsonl"

    def _locked(self, work: Callable[[], None]) -> None:
        """Do what no other program may do at the same time."""
        try:
            with sole_writer(self.path / PLAN):
                work()
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror or error}); nothing of this was "
                "kept, try again"
            ) from error


def _read(path: Path, model: type[M]) -> M:
    try:
        return read_model(path, model)
    except (OSError, ValidationError) as error:
        why = str(error).replace("\n", " ") if isinstance(error, ValidationError) else error
        raise DataError(f"{path} cannot be read as part of a study ({why})") from error


def _lines(path: Path, model: type[M]) -> list[M]:
    """All whole lines of a file; none where it is not there yet."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    found = []
    for n, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            found.append(model.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise DataError(
                f"{path}:{n} is damaged ({where}: {first['msg']}); restore the file, or remove "
                "the line to have the part judged again"
            ) from error
    return found


def _append(path: Path, text: str) -> None:
    """Add whole lines behind the last whole line, on the disk when this returns."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "r+b") as handle:
        whole = handle.read().rfind(b"\n") + 1
        handle.truncate(whole)
        handle.seek(whole)
        handle.write(text.encode())
        handle.flush()
        os.fsync(handle.fileno())
