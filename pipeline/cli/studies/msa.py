"""`lineside msa`: attribute agreement studies, from their parts to the report that is signed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.screen import print_line
from pipeline.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from pipeline.contracts.study import Appraisal
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.studies.folder import StudyFolder
    from pipeline.ledger.studies.presented import Presented
    from pipeline.ledger.studies.proposal import Proposal

msa = typer.Typer(
    help="Measurement system analysis: do people and the station judge parts alike, and right?",
    no_args_is_help=True,
)

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The station's line file.")]
Name = Annotated[str, typer.Argument(help="Name of the study.")]
NEW_IMAGES = (
    "The station has taken no new images of all parts, so it is not among the appraisers. To judge "
    "the same picture again is deterministic: it gives the same score and proves nothing about "
    "repeatability."
)


@msa.command()
def new(
    line_file: LineFile,
    name: Name,
    appraiser: Annotated[
        list[str], typer.Option(help="A person who judges; to be given for each, three are usual.")
    ],
    parts: Annotated[int, typer.Option(min=2, help="Number of parts.")] = 50,
    near: Annotated[
        float, typer.Option(min=0, max=1, help="Share of parts near a decision limit.")
    ] = 0.4,
    trials: Annotated[int, typer.Option(min=1, help="How often each judges each part.")] = 3,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the choice and the order; none: by chance.")
    ] = None,
) -> None:
    """Propose parts from the kept frames and make the study."""
    from pipeline import config
    from pipeline.cli.studies.planning import Wishes, plan
    from pipeline.daemon.settings.line import Line

    line = config.load(line_file, Line)
    chosen = random.SystemRandom().randrange(2**31) if seed is None else seed
    wishes = Wishes(name, tuple(appraiser), parts, near, trials, chosen)
    folder, proposal = plan(line, wishes, datetime.now(UTC))
    _show_proposal(folder, proposal)


@msa.command()
def show(
    line_file: LineFile,
    name: Annotated[str | None, typer.Argument(help="Name of the study; none: list them.")] = None,
) -> None:
    """List the studies, or show how far one is and what it has shown."""
    line, root = _line(line_file)
    from pipeline.ledger.studies.folder import names, open_study

    if name is None:
        found = names(root)
        for known in found:
            print_line(known)
        if not found:
            print_line(f"no study in {root}; make one: lineside msa new {line_file} NAME")
        return
    folder = open_study(root, name)
    study, references = folder.study, folder.references()
    print_line(f"{folder.path}")
    print_line(f"{len(study.parts)} parts, {study.near} near a decision limit")
    print_line(f"references: {len(references)} of {len(study.parts)}")
    for part in study.parts:
        if part.number not in references:
            print_line(f"  part {part.number} has none: {folder.picture(part.number)}")
    for one in study.appraisers:
        print_line(f"{one}: {len(folder.appraisals(one))} of {study.presentations}")
    print_line(f"station: {len(folder.station_appraisals())} of {study.presentations}")
    from pipeline.cli.studies.planning import changed_classes

    if changed := changed_classes(line, study):
        print_line(f"attention: {changed}")
    if (result := folder.result()) is not None:
        print_line(result.sentence)


@msa.command()
def reference(
    line_file: LineFile,
    name: Name,
    by: Annotated[str, typer.Option(help="Name of the person who sets the reference.")],
    part: Annotated[int | None, typer.Option(help="Number of the part.")] = None,
    part_class: Annotated[
        str | None, typer.Option("--class", help="What the part is: a class, or good or bad.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.csv", help="Columns part and class, for many parts."),
    ] = None,
) -> None:
    """Set the reference verdict of a part, or of all parts in a table."""
    from pipeline.cli.studies.sheets import given_references, reference_of
    from pipeline.ledger.studies.folder import open_study

    line, root = _line(line_file)
    folder = open_study(root, name)
    _check_classes(line, folder)
    if not by.strip():
        raise DataError("--by is empty; name the person who answers for the reference")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if table is not None and part is None and part_class is None:
        found = given_references(folder.study, table, by.strip(), at)
    elif table is None and part is not None and part_class is not None:
        found = [reference_of(folder.study, part, part_class, by.strip(), at, "--class")]
    else:
        raise DataError("give --part and --class, or --from with a table of both")
    folder.set_references(found)
    known = len(folder.references())
    print_line(f"{len(found)} set by {by.strip()}; {known} of {len(folder.study.parts)} are known")


@msa.command()
def judge(
    line_file: LineFile,
    name: Name,
    appraiser: Annotated[str, typer.Option(help="Name of the appraiser.")],
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write the list of parts to be judged, in order."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.csv", help="Take the answers in such a list."),
    ] = None,
) -> None:
    """Judge real parts on paper: write an appraiser's list, and take it back filled in.

    Pictures are judged on the station's page MSA.
    """
    from pipeline.cli.studies.sheets import take_sheet, write_sheet
    from pipeline.ledger.studies.folder import open_study

    folder = open_study(_line(line_file)[1], name)
    if (sheet is None) == (table is None):
        raise DataError("give --sheet to write the list of parts, or --from to take it filled in")
    if sheet is not None:
        write_sheet(folder, appraiser, sheet)
        print_line(f"{sheet}: hand out the parts in this order; answers are good or bad")
    if table is not None:
        n = take_sheet(folder, appraiser, table)
        done = len(folder.appraisals(appraiser))
        print_line(f"{n} answers taken; {appraiser}: {done} of {folder.study.presentations}")


@msa.command()
def station(line_file: LineFile, name: Name) -> None:
    """Collect what the station made of the parts since the study began, by their serials."""
    line, root = _line(line_file)
    from pipeline.ledger.studies.folder import open_study

    folder = open_study(root, name)
    _check_classes(line, folder)
    found = _collected(line, folder)
    study = folder.study
    print_line(f"station: {len(found.appraisals)} of {study.presentations} images")
    if found.not_inspected:
        print_line(f"{found.not_inspected} further images were not inspected")
    if found.same_pictures:
        print_line(
            "every part has exactly the same score each time: these are the same pictures, not "
            "new images, and they prove nothing about repeatability"
        )
    if found.without_serial:
        numbers = ", ".join(map(str, found.without_serial))
        print_line(f"without a serial the station cannot recognise parts {numbers}")
    left = [n for n, times in found.missing.items() for _ in range(times)]
    random.shuffle(left)
    if left:
        print_line("still to be presented, in this order:")
    for number in left:
        print_line(f"  {study.parts[number - 1].serial}")


@msa.command()
def report(
    line_file: LineFile,
    name: Name,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave an appraiser out; the report names it. May be repeated."),
    ] = None,
) -> None:
    """Compute what a study shows, and write the report that is signed."""
    line, root = _line(line_file)
    from pipeline.ledger.studies.folder import open_study

    try:
        from pipeline.reporting.studies.agreement import report as made
    except ImportError as error:
        raise MissingExtra(error.name or "scipy", "lineside msa report", "msa") from error
    folder = open_study(root, name)
    answers, notes = _answers(line, folder, without or [])
    result, page = made(
        folder.study,
        folder.references(),
        answers,
        lambda number: folder.picture(number).read_bytes(),
        datetime.now(UTC),
        notes,
    )
    path = folder.write_result(result, page)
    print_line(result.sentence)
    for note in result.notes:
        print_line(f"  {note}")
    print_line(f"{path}")


def _line(line_file: Path) -> tuple[Line, Path]:
    """The station, and the folder of its studies."""
    from pipeline import config
    from pipeline.daemon.settings.line import Line
    from pipeline.ledger.studies.folder import studies_of

    line = config.load(line_file, Line)
    return line, studies_of(line.ledger, line.station)


def _check_classes(line: Line, folder: StudyFolder) -> None:
    from pipeline.cli.studies.planning import changed_classes

    if changed := changed_classes(line, folder.study):
        raise DataError(
            f"{folder.study.name}: {changed}; a study is of one set of classes: make a new one"
        )


def _collected(line: Line, folder: StudyFolder) -> Presented:
    """The station's answers so far, kept in the study's folder."""
    from pipeline.ledger.database import connected
    from pipeline.ledger.studies.presented import presented

    with connected(line.ledger, "studies", line.station) as db:
        found = presented(db, folder.study, folder.station_appraisals())
    folder.set_station_appraisals(found.appraisals)
    return found


def _answers(
    line: Line, folder: StudyFolder, without: Sequence[str]
) -> tuple[dict[str, Sequence[Appraisal]], list[str]]:
    """The answers that count, the station's first, and notes on the others."""
    from pipeline.cli.studies.planning import changed_classes
    from pipeline.contracts.study import STATION
    from pipeline.errors import choices

    study = folder.study
    for one in without:
        if one not in (*study.appraisers, STATION):
            raise DataError(
                f'--without "{one}" is not an appraiser; {choices(one, study.appraisers)}'
            )
    answers: dict[str, Sequence[Appraisal]] = {}
    notes = [f"Left out by hand: {', '.join(without)}."] if without else []
    if changed := changed_classes(line, study):
        notes.append(f"Attention: {changed}. The station was left out.")
    elif STATION not in without:
        found = _collected(line, folder)
        if found.complete and not found.same_pictures:
            answers[STATION] = found.appraisals
        else:
            seen = f"{len(found.appraisals)} of {study.presentations} images"
            notes.append(f"{NEW_IMAGES} ({seen}{', all the same' * found.same_pictures}.)")
        if len(found.models) > 1:
            notes.append(f"Several models answered: {', '.join(found.models)}.")
        if found.not_inspected:
            notes.append(f"{found.not_inspected} images of these parts were not inspected.")
    answers |= {one: folder.appraisals(one) for one in study.appraisers if one not in without}
    return answers, notes


def _show_proposal(folder: StudyFolder, proposal: Proposal) -> None:
    study, n = folder.study, len(proposal.parts)
    print_line(f"{folder.path}: {n} parts of {proposal.candidates} with a kept frame")
    share = f"{proposal.near} near a decision limit ({proposal.near / n:.0%})"
    few = proposal.near < 0.3 * n
    wish = "; fewer than the 30 % that make a study hard enough" * few
    print_line(f"{share}, of {proposal.candidates_near} that there were{wish}")
    print_line(f"{proposal.clearly_good} clearly good, {proposal.clearly_bad} clearly bad")
    if proposal.clearly_good < 0.1 * n:
        print_line(
            "too few good parts show no false alarm: keep more of what passes (keep.pass_share in "
            "the line file)"
        )
    if proposal.clearly_bad < 0.1 * n:
        print_line("too few bad parts show no miss: wait for more, or present known bad parts")
    if proposal.without_serial:
        print_line(
            f"{proposal.without_serial} have no serial: the station cannot be an appraiser of them"
        )
    print_line(f"{len(folder.references())} references are known from reviews")
    print_line(f"{study.trials} trials of {', '.join(study.appraisers)}; seed {study.seed}")
    print_line("next: set the references (lineside msa reference), judge on the page MSA or by")
    print_line("lineside msa judge, present the parts to the station, then lineside msa report")
