"""The page Quality: control chart, signals, limits and who froze them, classes, reasons, drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException, Request, Response
from starlette.routing import BaseRoute

from pipeline.contracts.records import Verdict
from pipeline.daemon.quality.patterns import TESTS
from pipeline.daemon.quality.subgroups import PERS
from pipeline.daemon.web.pages.login import form_of
from pipeline.daemon.web.pages.records import local_time
from pipeline.daemon.web.pages.renderer import query
from pipeline.daemon.web.pages.site import Site, back_to
from pipeline.daemon.web.pages.texts import Texts
from pipeline.daemon.web.tokens import Scope

NAMES = ("camera", "per", "size", "since", "until")
BARS, LINE, LIMIT, POINTS = "bars", "line", "limit", "points"


def routes(site: Site) -> list[BaseRoute]:
    """Its routes."""
    quality = QualityPage(site)
    return [
        site.page("/quality", quality.show),
        site.page("/quality", quality.freeze, Scope.ACT, methods=("POST",)),
    ]


class QualityPage:
    """Shows the quality of a period and takes the limits that a person freezes."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """The period in the address."""
        given = {name: request.query_params.get(name, "").strip()[:200] for name in NAMES}
        return await self._page(request, given)

    async def freeze(self, request: Request) -> Response:
        """Freeze the limits that the form asks for; a refusal is on the page."""
        self._site.door.require_own_page(request)
        form = await form_of(request)
        given = {name: form.get(name, "").strip()[:200] for name in NAMES}
        person = request.state.token or form.get("name", "").strip()[:200]
        try:
            await self._site.api.quality.freeze(
                *(given["camera"], given["per"], _number(given["size"])),
                *(given["since"], given["until"], person, form.get("comment", "").strip()[:1000]),
            )
        except HTTPException as refused:
            return await self._page(request, given, str(refused.detail))
        shown = {name: given[name] for name in ("camera", "per", "size")}
        return back_to(f"/quality{query(shown)}")

    async def _page(self, request: Request, given: dict[str, str], fault: str = "") -> Response:
        t = self._site.renderer.texts_for(request)
        values: dict[str, Any] = {
            "given": given,
            "pers": PERS,
            "cameras": [camera.name for camera in self._site.station.cameras],
            "tests": list(TESTS),
            "verdicts": list(Verdict),
            "local": local_time,
        }
        try:
            found = await self._site.api.quality.answer(
                *(given["camera"], given["per"], _number(given["size"])),
                *(given["since"], given["until"]),
            )
        except HTTPException as refused:
            fault = fault or str(refused.detail)
            return self._site.show(
                request, "quality.html.j2", code=422, fault=fault, q=None, figures={}, **values
            )
        return self._site.show(
            request,
            "quality.html.j2",
            code=422 if fault else 200,
            fault=fault,
            q=found,
            figures=_figures(found, t),
            may_freeze=Scope.ACT in self._site.viewer(request).scopes,
            **values,
        )


def _number(text: str) -> int:
    """A whole number of a form, 0 for none; raises HTTPException 422."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise HTTPException(422, f'size "{text[:50]}" is not a number of parts')
    return int(text)


def _figures(found: dict[str, Any], t: Texts) -> dict[str, str]:
    """What the script draws, as JSON, by the name of the figure; the tables have the same."""
    points, chart = found["chart"]["points"], found["chart"]
    moments = [local_time(point["since"])[5:16] for point in points]
    shares = [
        _series(t("quality.share"), [p["share"] for p in points], LINE, "link"),
        _series(
            t("quality.signal"), [p["share"] if p["signals"] else None for p in points], POINTS
        ),
    ]
    if chart["type"]:
        ends = [
            _series(t(f"quality.{name}"), [p[name] for p in points], LIMIT, "ink")
            for name in ("upper", "lower")
        ]
        centre = _series(t("quality.centre"), [chart["centre"]] * len(points), LIMIT, "soft")
        shares = [*shares, *ends, centre]
    bars, stretches = found["pareto"], found["verdicts"]
    times = [local_time(stretch["since"])[5:16] for stretch in stretches]
    pareto = [
        _series(t("quality.class_share"), [bar["share"] for bar in bars], BARS),
        _series(t("quality.together"), [bar["together"] for bar in bars], LINE, "ink"),
    ]
    yields = [
        _series(t("live.yield"), [s["yield"] for s in stretches], LINE, "pass"),
        _series(t("quality.missed_share"), [_missed(s) for s in stretches], LINE, "not_inspected"),
    ]
    samples = found["drift"]
    scores = [_series(t("quality.score"), [s["score"] for s in stretches], LINE, "link")]
    distances = _by_time(samples, stretches, found["per"])
    novelty = [_series(t("quality.novelty"), distances, LINE, "link")]
    tones = ("not_inspected", "fail", "review", "link")
    pictures = [
        _series(kind, [s["pictures"][kind] for s in stretches], LINE, tone)
        for kind, tone in zip(found["picture_reasons"], tones, strict=True)
    ]
    drawn = {
        "shares": (moments, shares, True),
        "pareto": ([bar["name"] for bar in bars], pareto, True),
        "yields": (times, yields, True),
        "scores": (times, scores, False),
        "novelty": (times if any(distances) else [], novelty, False),
        "pictures": (times, pictures, False),
    }
    return {
        name: json.dumps({"labels": labels, "series": series, "percent": percent})
        for name, (labels, series, percent) in drawn.items()
        if labels
    }


def _series(
    label: str, values: Sequence[float | None], kind: str, tone: str = "fail"
) -> dict[str, Any]:
    return {"label": label, "values": list(values), "kind": kind, "tone": tone}


def _missed(stretch: dict[str, Any]) -> float | None:
    """Share of NOT_INSPECTED among all records."""
    total = sum(stretch["verdicts"].values())
    missed: int = stretch["verdicts"].get(Verdict.NOT_INSPECTED, 0)
    return missed / total if total else None


def _by_time(
    samples: Sequence[dict[str, Any]], stretches: Sequence[dict[str, Any]], per: str
) -> list[float | None]:
    """The novelty at the end of each stretch, None where it was not sampled."""
    digits = 10 if per == "day" else 13  # of the local day, or hour
    known = {local_time(s["period"])[:digits]: s["novelty"] for s in samples}
    return [known.get(local_time(stretch["since"])[:digits]) for stretch in stretches]
