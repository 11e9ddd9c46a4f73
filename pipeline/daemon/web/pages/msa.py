"""The pages MSA: the station's studies, how far each is, and where an appraiser judges blind.

An appraiser sees the picture of the next part, two buttons and how far they are: no number, serial,
score or verdict, and no earlier answer. The address of the picture bears the position in the
appraiser's own order, and only the next one is served. What a study shows is computed by
`lineside msa report`; here it is shown once everybody has judged everything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.routing import BaseRoute, Route

from pipeline.contracts.study import Judgement, StudyResult
from pipeline.daemon.web.live.pictures import leave_the_cores
from pipeline.daemon.web.pages.login import form_of
from pipeline.daemon.web.pages.site import Site
from pipeline.daemon.web.records import KINDS, aside
from pipeline.daemon.web.tokens import Scope
from pipeline.errors import DataError, UnreadableImage
from pipeline.imaging import codec
from pipeline.ledger.studies.folder import REPORT, StudyFolder, names, open_study, studies_of

# What every browser shows as it is; other pictures are sent as PNG, which loses nothing.
SHOWN = (".jpg", ".jpeg", ".png", ".webp")
ANSWERS = {"good": Judgement.GOOD, "bad": Judgement.BAD}
# A report has its style and pictures inside, and no script.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)

T = TypeVar("T")


def routes(site: Site) -> list[BaseRoute]:
    """Their routes."""
    pages = MsaPages(site)
    judging = "/msa/{study}/{appraiser:int}"
    return [
        site.page("/msa", pages.listed, Scope.JUDGE),
        site.page("/msa/{study}", pages.study, Scope.JUDGE),
        site.page("/msa/{study}/report", pages.report, Scope.JUDGE),
        site.page(judging, pages.judge, Scope.JUDGE),
        site.page(judging, pages.answer, Scope.JUDGE, methods=("POST",)),
        Route(f"{judging}/picture/{{position:int}}", pages.picture),
    ]


class MsaPages:
    """Shows studies and takes appraisers' answers."""

    def __init__(self, site: Site) -> None:
        self._site = site
        ledger = site.station.ledger
        self._root = studies_of(ledger.path, ledger.station)

    async def listed(self, request: Request) -> Response:
        """The studies there are, the newest first."""
        found = await aside(lambda: names(self._root)[::-1])
        return self._site.show(request, "msa.html.j2", studies=found)

    async def study(self, request: Request) -> Response:
        """How far each appraiser is; and what the study shows, once everybody is through."""
        folder = await self._folder(request)
        plan = folder.study
        done = await _read(lambda: [len(folder.appraisals(name)) for name in plan.appraisers])
        result = await _read(partial(_result, folder))
        return self._site.show(
            request,
            "msa_study.html.j2",
            study=plan,
            done=list(zip(plan.appraisers, done, strict=True)),
            result=result,
            references=len(await _read(folder.references)),
            station_done=len(await _read(folder.station_appraisals)),
        )

    async def report(self, request: Request) -> Response:
        """The report that is signed, once everybody is through."""
        folder = await self._folder(request)
        if await _read(partial(_result, folder)) is None:
            raise HTTPException(404, "the report is not made yet, or somebody still judges")
        data = await _read((folder.path / REPORT).read_bytes)
        headers = {"content-security-policy": REPORT_POLICY}
        return Response(data, media_type="text/html; charset=utf-8", headers=headers)

    async def judge(self, request: Request) -> Response:
        """The next part of an appraiser; nothing else about it than its picture."""
        folder, appraiser = await self._appraiser(request)
        due = await _read(partial(folder.next, appraiser))
        return self._site.show(
            request,
            "msa_judge.html.j2",
            study=folder.study,
            appraiser=appraiser,
            number=request.path_params["appraiser"],
            position=None if due is None else due[0],
            total=folder.study.presentations,
            again="again" in request.query_params,
        )

    async def answer(self, request: Request) -> Response:
        """Take an answer; one that was sent twice counts once."""
        folder, appraiser = await self._appraiser(request)
        form = await form_of(request)
        judgement = ANSWERS.get(form.get("judgement", ""))
        position = form.get("position", "")
        if judgement is None or not (position.isascii() and position.isdecimal()):
            raise HTTPException(422, "an answer is good or bad, on a position")
        given = int(position[:9])
        work = partial(folder.answer, appraiser, given, judgement, request.state.token)
        again = not await _read(lambda: _taken(folder, appraiser, given, work))
        return RedirectResponse(f"{request.url.path}{'?again' * again}", 303)

    async def picture(self, request: Request) -> Response:
        """The picture of an appraiser's next part; no other."""
        self._site.door.ask(request, Scope.JUDGE)
        folder, appraiser = await self._appraiser(request)
        due = await _read(partial(folder.next, appraiser))
        if due is None or due[0] != request.path_params["position"]:
            raise HTTPException(404, "this part is not the next one")
        data, kind = await _read(partial(_picture, folder.picture(due[2])))
        return Response(data, media_type=kind)

    async def _folder(self, request: Request) -> StudyFolder:
        name = request.path_params["study"]
        try:
            return await aside(partial(open_study, self._root, name))
        except DataError as error:
            known = await aside(partial(names, self._root))
            raise HTTPException(503 if name in known else 404, str(error)) from None

    async def _appraiser(self, request: Request) -> tuple[StudyFolder, str]:
        """The study, and an appraiser by their number in it, from 1."""
        folder = await self._folder(request)
        number, people = request.path_params["appraiser"], folder.study.appraisers
        if not 1 <= number <= len(people):
            raise HTTPException(404, f"{folder.study.name} has {len(people)} appraisers")
        return folder, people[number - 1]


def _result(folder: StudyFolder) -> StudyResult | None:
    """What a study shows; None while somebody still judges, who must not see it."""
    plan = folder.study
    if any(len(folder.appraisals(name)) < plan.presentations for name in plan.appraisers):
        return None
    return folder.result()


def _taken(folder: StudyFolder, appraiser: str, position: int, work: Callable[[], None]) -> bool:
    """Do the work of taking an answer; False where its position is not the next one."""
    try:
        work()
    except DataError:
        due = folder.next(appraiser)
        if due is None or due[0] != position:
            return False
        raise
    return True


def _picture(path: Path) -> tuple[bytes, str]:
    """A picture as browsers show it, and its media type."""
    leave_the_cores()
    data = path.read_bytes()
    if path.suffix.lower() in SHOWN:
        return data, KINDS[path.suffix.lower()]
    try:
        return codec.encode_png(codec.decode(data, path.name)), KINDS[".png"]
    except UnreadableImage as error:
        raise DataError(str(error)) from error


async def _read(work: Callable[[], T]) -> T:
    """What a study's folder has; raises HTTPException 503 where it cannot be read or written."""
    try:
        return await aside(work)
    except (DataError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise HTTPException(503, str(error)) from None
