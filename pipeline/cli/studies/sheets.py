"""Tables of a study: references from a file, and the lists by which real parts are judged."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.contracts.study import Judgement, PartReference, Study
from pipeline.errors import DataError, choices
from pipeline.files import write_whole
from pipeline.ledger.studies.folder import StudyFolder

PLAIN = ("good", "bad")


def reference_of(
    study: Study, part: int, label: str, by: str, at: str, where: str
) -> PartReference:
    """A reference verdict from a class of the study, or from `good` or `bad` alone.

    Raises:
        DataError: neither.
    """
    judgement: Literal[Judgement.GOOD, Judgement.BAD]
    if label in study.classes:
        judgement = Judgement.GOOD if label in study.good else Judgement.BAD
        return PartReference(part=part, judgement=judgement, part_class=label, by=by, at=at)
    if label not in PLAIN:
        known = (*study.classes, *PLAIN)
        raise DataError(f'{where} "{label}" is not a class of the study; {choices(label, known)}')
    judgement = Judgement.GOOD if label == "good" else Judgement.BAD
    return PartReference(part=part, judgement=judgement, part_class="", by=by, at=at)


def given_references(study: Study, path: Path, by: str, at: str) -> list[PartReference]:
    """The references in a table with the columns `part` and `class`.

    Raises:
        DataError: the file cannot be read, a column is missing, or a row cannot be understood.
    """
    found = []
    for where, row in _rows(path, ("part", "class")):
        number = row["part"]
        if not number.isdecimal() or not 1 <= int(number) <= len(study.parts):
            raise DataError(f'{where} part "{number}" is not one of 1 to {len(study.parts)}')
        found.append(reference_of(study, int(number), row["class"], by, at, f"{where} class"))
    return found


def write_sheet(folder: StudyFolder, appraiser: str, path: Path) -> None:
    """Write the parts that an appraiser has not judged yet, in order, for real parts on a table.

    Raises:
        DataError: an unknown appraiser, a part without a serial, or the file cannot be written.
    """
    due = folder.next(appraiser)
    study = folder.study
    nameless = [part.number for part in study.parts if not part.serial]
    if nameless:
        raise DataError(
            f"{study.name}: parts {', '.join(map(str, nameless[:5]))} have no serial, so nobody "
            "can find them; judge the pictures on the page MSA"
        )
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("position", "serial", "answer"))
    order = study.order(appraiser)
    for position in range(due[0] if due else len(order), len(order)):
        table.writerow((position + 1, study.parts[order[position][1] - 1].serial, ""))
    try:
        write_whole(path, text.getvalue().encode())
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror})") from error


def take_sheet(folder: StudyFolder, appraiser: str, path: Path) -> int:
    """Take the answers of a list, as far as it is filled in; returns how many.

    All rows are checked before the first is taken. Rows that were taken before are skipped where
    the answer is the same, so a list may be taken again when it is filled further.

    Raises:
        DataError: a row is of another part, is not good or bad, or differs from what was taken.
    """
    study, taken = folder.study, folder.appraisals(appraiser)
    order, answers = study.order(appraiser), dict[int, Judgement]()
    for where, row in _rows(path, ("position", "serial", "answer")):
        if not row["answer"]:
            continue
        if row["answer"] not in PLAIN:
            raise DataError(f'{where} answer "{row["answer"]}" is unknown; choose good, bad')
        position = int(row["position"]) - 1 if row["position"].isdecimal() else -1
        if not 0 <= position < len(order):
            raise DataError(f'{where} position "{row["position"]}" is not one of 1 to {len(order)}')
        serial = study.parts[order[position][1] - 1].serial
        if row["serial"] != serial:
            raise DataError(
                f'{where} position {position + 1} of {appraiser} is part "{serial}", not '
                f'"{row["serial"]}"; is this the list of another appraiser?'
            )
        answer = Judgement(row["answer"])
        if position < len(taken) and taken[position].judgement is not answer:
            raise DataError(
                f"{where} was taken as {taken[position].judgement} before; an answer counts once"
            )
        answers[position] = answer
    new = sorted(position for position in answers if position >= len(taken))
    if new != list(range(len(taken), len(taken) + len(new))):
        raise DataError(
            f"{path}: position {len(taken) + 1} is next for {appraiser}, and answers are missing "
            "between those given; fill them in"
        )
    for position in new:
        folder.answer(appraiser, position, answers[position], "sheet")
    return len(new)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table with their places, as spreadsheets save it: with commas or semicolons."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table ({error})") from error
    head = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in head else ",")
    missing = [column for column in columns if column not in (table.fieldnames or ())]
    if missing:
        raise DataError(
            f"{path}:1 has no column {', '.join(missing)}; it takes {', '.join(columns)}"
        )
    for row in table:
        cells = {column: (row[column] or "").strip() for column in columns}
        if any(cells.values()):
            yield f"{path}:{table.line_num}", cells
