"""The routes of the web service.

A picture or trigger that the station takes is a trigger of the ledger, and the answer is its
record with HTTP 200, whatever the verdict: NOT_INSPECTED (overload, unreadable, no frame) is one,
too. Every answer but 200 to `/inspect` and `/trigger` means that there is no verdict: with
4xx the station took nothing and there is no record; with 503 it cannot take parts at the moment,
and where its disk was the reason it may record the trigger later, as NOT_INSPECTED; with 504 the
verdict is late, and will stand in the ledger. A client that sends again after that makes a second
record.

Without a token: `/healthz`, `/readyz` and `/metrics`, which show no part. With scope `read`:
`/status`, `/records`. With scope `judge`: `/api/v1/review`. With scope `act`: `/inspect`,
`/trigger`. Who asks for HTML gets the pages in `pages` instead, also at an address that answers
programs with JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from pipeline.daemon.inspection.camera import Camera
from pipeline.daemon.settings.challenge import Challenge
from pipeline.daemon.settings.http import Http
from pipeline.daemon.sinks import message
from pipeline.daemon.sources import Answer
from pipeline.daemon.station import Station
from pipeline.daemon.web.access import AGAIN, ConcurrencyLimit, CrossSiteCheck, TokenCheck
from pipeline.daemon.web.api import Api
from pipeline.daemon.web.described import PICTURE, REFUSALS, SERIAL_PARAMETERS, UPLOAD_REFUSALS
from pipeline.daemon.web.live.feed import LiveFeed
from pipeline.daemon.web.live.streams import Streams
from pipeline.daemon.web.metrics import Metrics
from pipeline.daemon.web.pending import NoVerdict, PendingVerdicts
from pipeline.daemon.web.records import KeptRecords, aside, chunks
from pipeline.daemon.web.review.api import ReviewApi
from pipeline.daemon.web.upload import Uploads, ending_of, serial_of
from pipeline.errors import LedgerError, LinesideError, MissingExtra

STALLED_AFTER_S = 10.0

Ask = Callable[[Answer | None], None]


@runtime_checkable
class TakesPictures(Protocol):
    """A source that pictures are sent to."""

    def submit(self, data: bytes, ending: str, serial: str, answer: Answer | None) -> None: ...


@runtime_checkable
class IsFired(Protocol):
    """A trigger that a program fires."""

    def fire(self, serial: str, answer: Answer | None) -> None: ...


class StationApi:
    """The API of the station.

    Attributes:
        uploads: the pictures that are here.
        station: that it serves.
        archive: its records and kept frames.
        api: answers what is asked of them under `/api/v1`.
        reviews: answers what is asked of the review queue.
        streams: to the pages that are open.
    """

    def __init__(
        self,
        settings: Http,
        station: Station,
        archive: KeptRecords,
        waiting: PendingVerdicts,
        shifts: Sequence[str],
        challenge: Challenge | None = None,
    ) -> None:
        self.station = station
        self.archive = archive
        self.api = Api(station, archive, challenge)
        self.reviews = ReviewApi(station, archive, settings.review)
        self.streams = Streams(LiveFeed(station, shifts))
        self._settings = settings
        self._waiting = waiting
        self.uploads = Uploads(settings)
        self._at_once = 0
        self._metrics = Metrics(station.status, station.recorder)

    async def healthz(self) -> Response:
        """Is the process alive? If not, it must be restarted."""
        silent_s = self.station.silent_s
        if silent_s < STALLED_AFTER_S:
            return JSONResponse({"alive": True})
        why = f"the workers were not supervised for {silent_s:.0f} s"
        return JSONResponse({"alive": False, "detail": why}, 503)

    async def readyz(self) -> Response:
        """Would a part that comes now get a verdict?"""
        status = await aside(self.station.status)
        reasons, degraded = status.not_ready, status.degraded
        answer = {"ready": not reasons, "reasons": reasons, "degraded": degraded}
        return JSONResponse(answer, 503 if reasons else 200)

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        accept = request.headers.get("accept", "")
        text, media_type = await aside(lambda: self._metrics.text(accept))
        return Response(text, media_type=media_type)

    async def status(self) -> Response:
        """The station's state."""
        status = await aside(self.station.status)
        return JSONResponse(jsonable_encoder(status.as_dict()))

    async def records(self, serial: str) -> Response:
        """The records of a part by its serial, newest first."""
        found = await aside(lambda: self.archive.of_serial(serial))
        return JSONResponse([message(record) for record in found])

    async def record(self, identity: str) -> Response:
        """One record."""
        found = await aside(lambda: self.archive.record(identity))
        if found is None:
            raise HTTPException(404, f"no closed record {identity[:100]}")
        return JSONResponse(message(found))

    async def frame(self, identity: str) -> Response:
        """The frame of a record, as the camera gave it."""
        found = await aside(lambda: self.archive.frame(identity))
        if found is None:
            raise HTTPException(404, f"no frame of record {identity[:100]} is kept")
        file, media_type = found
        return StreamingResponse(chunks(file), media_type=media_type)

    async def inspect(self, request: Request, camera: str | None = None) -> Response:
        """Have a picture inspected; answers with its record."""
        chosen = self._one(camera, "is sent pictures; that takes `source: {type: push}`", _is_sent)
        source, serial = chosen.source, serial_of(request)
        assert isinstance(source, TakesPictures)
        with self._place():
            return await self._inspected(request, chosen, source, serial)

    async def _inspected(
        self, request: Request, chosen: Camera, source: TakesPictures, serial: str
    ) -> Response:
        async with self.uploads.taken(request) as data:
            if chosen.trigger is not None:
                self._hand_over(lambda _: source.submit(data, ending_of(data), serial, None), None)
                detail = f"taken; camera {chosen.name} judges it when its trigger comes"
                return JSONResponse({"detail": detail}, 202)
            return await self._verdict(
                lambda answer: source.submit(data, ending_of(data), serial, answer)
            )

    async def trigger(
        self, request: Request, camera: str | None = None, wait: bool = True
    ) -> Response:
        """Trigger a camera; answers with the record, or at once with `wait=false`."""
        chosen = self._one(camera, "is fired; that takes `trigger: {type: software}`", _is_fired)
        trigger, serial = chosen.trigger, serial_of(request)
        assert isinstance(trigger, IsFired)
        with self._place():
            if not wait:
                self._hand_over(lambda answer: trigger.fire(serial, answer), None)
                return JSONResponse({"detail": "triggered"}, 202)
            return await self._verdict(lambda answer: trigger.fire(serial, answer))

    async def _verdict(self, ask: Ask) -> Response:
        """Ask for a verdict and answer with its record."""
        limit_s = self._settings.answer_within_s
        with self._waiting.expected() as expected:
            self._hand_over(ask, expected.answer)
            try:
                return JSONResponse(message(await expected.record(limit_s)))
            except NoVerdict:
                recorder = self.station.recorder
                why = self.station.stopping or recorder.alarm or "its record was not opened"
                raise HTTPException(503, f"the part is not inspected: {why}", AGAIN) from None
            except TimeoutError:
                raise HTTPException(
                    504,
                    f"no verdict within {limit_s:g} s; it will stand in the ledger: "
                    "GET /records?serial=...",
                ) from None

    def _hand_over(self, ask: Ask, answer: Answer | None) -> None:
        try:
            ask(answer)
        except LinesideError as refused:
            raise HTTPException(503, str(refused), AGAIN) from None

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among the requests for verdicts; raises HTTPException 503 where there is none.

        A ledger that cannot be written is not a reason: only a trigger finds out that it can again.
        """
        if self.station.stopping:
            raise HTTPException(503, self.station.stopping, AGAIN)
        if self._at_once >= self._settings.connections:
            why = f"{self._at_once} wait for verdicts already (http.connections in the line file)"
            raise HTTPException(503, why, AGAIN)
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1

    def _one(self, name: str | None, what: str, fits: Callable[[Camera], bool]) -> Camera:
        """The camera of a request; raises HTTPException 404."""
        fitting = [camera for camera in self.station.cameras if fits(camera)]
        meant = [camera for camera in fitting if name in (None, camera.name)]
        if len(meant) == 1:
            return meant[0]
        if not fitting:
            raise HTTPException(404, f"no camera of this station {what}")
        names = ", ".join(camera.name for camera in fitting)
        raise HTTPException(404, f"name the camera at the end of the path: {names}")


def app_of(service: StationApi, settings: Http) -> ASGIApp:
    """The web service with its access control."""
    return CrossSiteCheck(ConcurrencyLimit(routes_of(service, settings)), settings)


def routes_of(service: StationApi, settings: Http) -> FastAPI:
    """The routes with their tokens; `openapi()` describes them, for tests and for programmers."""
    door = TokenCheck(settings, service.station.ledger.station)
    first, last = _pages(service, door)
    # No pages about itself: they would show strangers what can be requested. And none of
    # FastAPI's own telemetry: what MLflow reports to must learn nothing of parts.
    quiet: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
    app = FastAPI(
        openapi_url=None, docs_url=None, redoc_url=None, telemetry=quiet, routes=list(first)
    )
    read, act = [Depends(door.read)], [Depends(door.act)]
    late: dict[int | str, dict[str, Any]] = {k: REFUSALS[k] for k in (503, 504)}
    app.get("/healthz", responses=late)(service.healthz)
    app.get("/readyz", responses=late)(service.readyz)
    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
    app.get("/metrics", responses=text | late, response_class=Response)(service.metrics)
    app.get("/status", dependencies=read, responses=REFUSALS)(service.status)
    app.get("/records", dependencies=read, responses=REFUSALS)(service.records)
    app.get("/records/{identity}", dependencies=read, responses=REFUSALS)(service.record)
    app.get(
        "/records/{identity}/frame",
        dependencies=read,
        responses=REFUSALS | {200: {"content": {"image/*": {}}}},
        response_class=StreamingResponse,
    )(service.frame)
    service.api.add_to(app, door, REFUSALS)
    service.api.challenge.add_to(app, door, REFUSALS)
    service.reviews.add_to(app, door, REFUSALS)
    service.streams.add_to(app, door)
    sent = {"parameters": SERIAL_PARAMETERS, "requestBody": PICTURE}
    fired = {"parameters": SERIAL_PARAMETERS}
    taken = REFUSALS | {202: {"description": "triggered, with wait=false"}}
    for path in ("", "/{camera}"):
        app.post(
            f"/inspect{path}", dependencies=act, responses=UPLOAD_REFUSALS, openapi_extra=sent
        )(service.inspect)
        app.post(f"/trigger{path}", dependencies=act, responses=taken, openapi_extra=fired)(
            service.trigger
        )
    app.exception_handler(RequestValidationError)(_misread)
    app.exception_handler(LedgerError)(_unreadable)
    app.exception_handler(TimeoutError)(_late)
    app.router.routes.extend(last)
    return app


def _pages(
    service: StationApi, door: TokenCheck
) -> tuple[Sequence[BaseRoute], Sequence[BaseRoute]]:
    """The routes of the pages, before and behind all others; what to install where there are none.

    Programs ask a station that was installed without the extra as well.
    """
    try:
        from pipeline.daemon.web.pages.catalogue import routes_of_pages
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        missing = MissingExtra("jinja2", "the page of a station", "pages")

        async def advise(request: Request) -> Response:
            return PlainTextResponse(str(missing), 501)

        return [Route("/", advise)], []
    return routes_of_pages(service.station, service.api, door)


async def _misread(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)


async def _unreadable(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503, AGAIN)


async def _late(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "the station's disk does not answer"}, 504)


def _is_sent(camera: Camera) -> bool:
    return isinstance(camera.source, TakesPictures)


def _is_fired(camera: Camera) -> bool:
    return isinstance(camera.trigger, IsFired)
