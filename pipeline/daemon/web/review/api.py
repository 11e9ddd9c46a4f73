"""`/api/v1/review`: the review queue for the page and for programs; all of it needs scope `judge`.

What changes something is a POST with a small JSON body; with a session it is taken from this
station's own pages only, as a log out is. The reviewer is who the token or the session belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from pipeline.contracts.records import Record
from pipeline.daemon.settings.http import ReviewSettings
from pipeline.daemon.station import Station
from pipeline.daemon.web.access import TokenCheck
from pipeline.daemon.web.live.feed import shown
from pipeline.daemon.web.records import KeptRecords, aside
from pipeline.daemon.web.review.queue import ReviewQueue, Taken, Wish
from pipeline.errors import DataError
from pipeline.ledger.review.reviews import NotReviewable
from pipeline.ledger.review.waiting import ReviewOrder
from pipeline.plugins import Strict

Answers = dict[int | str, dict[str, Any]]
MOST_BYTES = 16_384  # of a body
MOST_COMMENT = 2000  # characters
MOST_AT_ONCE = 20  # parts in one person's hand
MOST_LISTED = 200  # disagreements
NOT_LOGGED_IN = "not logged in"  # the reviewer where no token is asked for; the name of no token
TAKEN: Answers = {409: {"description": "another person has this part in hand"}}
TOO_LARGE: Answers = {413: {"description": "the body is too large"}}

Body = TypeVar("Body", bound=Strict)
T = TypeVar("T")


class WishBody(Strict):
    """What to review."""

    order: Literal["doubt", "age", "class", "disagreement"] = Field(
        "doubt", description="In which order parts come."
    )
    part_class: str = Field(
        "", alias="class", max_length=200, description="Only parts that the station called so."
    )
    most: int = Field(1, ge=0, le=MOST_AT_ONCE, description="So many further parts at once.")
    held: tuple[str, ...] = Field(
        (), max_length=MOST_AT_ONCE, description="Records in hand, which stay there."
    )
    again: bool = Field(False, description="Also parts that this person has skipped.")
    blind: bool = Field(False, description="Leave out what the station thinks of them.")


class AnswerBody(Strict):
    """What a part is."""

    part_class: str = Field(
        alias="class", min_length=1, max_length=200, description="A class of the model, or alias."
    )
    comment: str = Field("", max_length=MOST_COMMENT, description="The reason, if not obvious.")


class ReleaseBody(Strict):
    """Which parts to give back."""

    records: tuple[str, ...] = Field(max_length=MOST_AT_ONCE, description="Ids of records.")


class ReviewApi:
    """Answers what is asked of the review queue.

    Attributes:
        queue: of the station.
    """

    def __init__(self, station: Station, archive: KeptRecords, settings: ReviewSettings) -> None:
        self.queue = ReviewQueue(station, archive, settings)

    def add_to(self, app: FastAPI, door: TokenCheck, refusals: Answers) -> None:
        """Add the routes, all of which need scope `judge`."""
        judge = [Depends(door.judge)]
        part = "/parts/{identity}"
        for path, handler, body, answers in (
            ("/next", self.next, WishBody, TOO_LARGE),
            (f"{part}/open", self.open, None, TAKEN),
            (f"{part}/answer", self.answer, AnswerBody, TOO_LARGE),
            (f"{part}/skip", self.skip, None, {}),
            (f"{part}/undo", self.undo, None, {}),
            ("/release", self.release, ReleaseBody, TOO_LARGE),
        ):
            app.post(
                f"/api/v1/review{path}",
                dependencies=judge,
                responses=refusals | answers,
                response_class=JSONResponse,
                openapi_extra=None if body is None else _described(body),
            )(handler)
        for path, look in (("/progress", self.progress), ("/disagreements", self.disagreements)):
            app.get(
                f"/api/v1/review{path}",
                dependencies=judge,
                responses=refusals,
                response_class=JSONResponse,
            )(look)

    async def next(self, request: Request) -> Response:
        """Parts for this person, whom nobody else gets for two minutes after the last request.

        `waiting` counts those that wait as wished, of the last 20,000 (in order of age: of the
        first ones), and `skipped` those that this person has skipped.
        """
        wish = await body_of(request, WishBody)
        person = person_of(request)
        wanted = Wish(
            *(ReviewOrder(wish.order), wish.part_class, wish.most, wish.held, wish.again),
        )
        offer = await _done(lambda: self.queue.next(person, wanted))
        return JSONResponse(
            {
                "person": person,
                "parts": [part_of(record, blind=wish.blind) for record in offer.parts],
                "waiting": offer.waiting,
                "skipped": offer.skipped,
                "classes": self._classes(offer.classes),
            }
        )

    async def open(self, identity: str, request: Request) -> Response:
        """A certain part with what people think of it now, for who settles a disagreement."""
        person = person_of(request)
        record, standing = await _done(lambda: self.queue.open(identity, person))
        return JSONResponse({**part_of(record), "reviews": [asdict(review) for review in standing]})

    async def answer(self, identity: str, request: Request) -> Response:
        """What the part is. The same answer again changes nothing; another one counts from now.

        `kept` is false where the frame was removed meanwhile: training cannot learn from the part.
        """
        given, person = await body_of(request, AnswerBody), person_of(request)
        review, record = await _done(
            lambda: self.queue.answer(identity, given.part_class, person, given.comment)
        )
        return JSONResponse({**asdict(review), "kept": bool(record.image)})

    async def skip(self, identity: str, request: Request) -> Response:
        """Do not give this part to this person again, unless `next` is asked with `again`."""
        person = person_of(request)
        await _done(lambda: self.queue.skip(identity, person))
        return JSONResponse({"skipped": identity})

    async def undo(self, identity: str, request: Request) -> Response:
        """Withdraw what this person found of the part; it is in this person's hand again.

        The withdrawn review stays in the ledger, and does not count.
        """
        person = person_of(request)
        record = await _done(lambda: self.queue.undo(identity, person))
        return JSONResponse({"record": record.id, "withdrawn_by": person})

    async def release(self, request: Request) -> Response:
        """Give parts back for others, as a page does that is closed."""
        given, person = await body_of(request, ReleaseBody), person_of(request)
        await _done(lambda: self.queue.release(given.records, person))
        return JSONResponse({"released": len(given.records)})

    async def progress(self) -> Response:
        """How many parts of each class people have reviewed, and which class would help most."""
        return JSONResponse(asdict(await _done(self.queue.progress)))

    async def disagreements(self) -> Response:
        """Parts of which people think differently, the latest first, with what each thinks."""
        found = await _done(self.queue.disagreements)
        listed = [
            {**shown(one.record), "reviews": [asdict(review) for review in one.reviews]}
            for one in found[:MOST_LISTED]
        ]
        return JSONResponse({"parts": listed, "all": len(found)})

    def _classes(self, names: tuple[str, ...]) -> list[dict[str, str]]:
        """The classes with what happens to a part of each, "" where that is not known."""
        taxonomy = self.queue.taxonomy()
        known = {} if taxonomy is None else {c.name: str(c.disposition) for c in taxonomy.classes}
        return [{"name": name, "disposition": known.get(name, "")} for name in names]


def person_of(request: Request) -> str:
    """Who reviews: the name of the token, or that nobody has logged in.

    Raises:
        HTTPException: 403, the page that asks (`X-Reviewer`) was opened by another person.
    """
    person: str = request.state.token or NOT_LOGGED_IN
    page_of = request.headers.get("x-reviewer", person)
    if page_of != person:
        raise HTTPException(
            403, f"this page is of {page_of[:100]}, and {person} has logged in since; load it again"
        )
    return person


def part_of(record: Record, *, blind: bool = False) -> dict[str, Any]:
    """What a person sees of a part; `blind` leaves out what the station thinks of it."""
    known = shown(record)
    if blind:
        return {key: known[key] for key in ("id", "at", "serial", "camera")}
    return known


async def body_of(request: Request, model: type[Body]) -> Body:
    """The JSON body of a request; raises HTTPException 413 for a large one, 422 for another one.

    It is read after the token was checked, unlike one that FastAPI reads.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise HTTPException(413, "the body is too large", {"connection": "close"})
    try:
        return model.model_validate_json(bytes(data))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(place) for place in first["loc"])
        raise HTTPException(422, f"{where or 'the body'}: {first['msg']}"[:500]) from None


async def _done(work: Callable[[], T]) -> T:
    """What the queue answers, and its refusals as those of HTTP."""
    try:
        return await aside(work)
    except NotReviewable as error:
        raise HTTPException(404, str(error)) from None
    except DataError as error:
        raise HTTPException(422, str(error)) from None
    except Taken as error:
        raise HTTPException(409, str(error)) from None


def _described(model: type[Strict]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
