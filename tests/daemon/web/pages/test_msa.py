"""The pages MSA: blind judging by key and button, several at once, and nothing given away."""

from __future__ import annotations

import re

import pytest

from pipeline.contracts.study import FindingState, Judgement, StudyResult
from pipeline.daemon.web.tokens import Tokens
from pipeline.imaging import codec
from pipeline.ledger.studies.folder import StudyFolder, make, studies_of
from tests.browser import Browser, console_errors
from tests.contracts.test_study import plan
from tests.daemon.conftest import picture
from tests.daemon.waiting import until
from tests.daemon.web.conftest import Serve, Served
from tests.daemon.web.pages.conftest import (
    click,
    keys,
    logged_in,
    open_page,
    page,
    post,
    seen_at,
    serious_faults,
    text,
    wait_for,
)
from tests.daemon.web.pages.test_live import INSIDE, LOADED, SCREENS
from tests.imports import closure, imports, modules

PEOPLE = plan().appraisers


def studied(served: Served, n: int = 2, trials: int = 2) -> StudyFolder:
    """A study at the station; the picture of each part has a brightness of its own."""
    ledger = served.station.ledger
    study = plan(n=n, trials=trials)
    pictures = [(part.image, codec.encode_png(picture(20 * part.number))) for part in study.parts]
    return make(studies_of(ledger.path, ledger.station), study, pictures, [])


def answer(served: Served, position: int, judgement: str = "good", who: int = 1) -> tuple[int, str]:
    """Send an answer as the page does; returns status and where it leads."""
    fields = {"position": str(position), "judgement": judgement}
    reply = post(served, f"/msa/november/{who}", fields)
    return reply.status, reply.headers.get("location", "")


def test_a_station_without_a_study_names_the_command(serve: Serve) -> None:
    body = page(serve(), "/msa").body.decode()
    assert "There is no study yet" in body
    assert "lineside msa new" in body


def test_a_study_shows_how_far_everybody_is(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    folder.answer(PEOPLE[1], 0, Judgement.GOOD)
    assert 'href="/msa/november"' in page(served, "/msa").body.decode()
    body = " ".join(page(served, "/msa/november").body.decode().split())
    assert "2 parts, each judged 2 times in random order." in body
    for n, name, done in ((1, PEOPLE[0], 0), (2, PEOPLE[1], 1), (3, PEOPLE[2], 0)):
        wanted = f'href="/msa/november/{n}"><strong>{name}</strong> <span class="soft">{done} of 4'
        assert wanted in body


def test_the_judging_page_gives_nothing_away_about_the_part(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    for position in range(3):
        body = page(served, "/msa/november/1").body.decode()
        main = body[body.index("<main") :]
        for part in folder.study.parts:
            for secret in (part.serial, part.record, part.image, f"{part.defect_score}"):
                assert secret not in main
        assert not re.search('PASS(?!")|FAIL(?!")|REVIEW|defective', main)
        assert f"/msa/november/1/picture/{position}" in main
        answer(served, position, "bad")
        assert "bad" not in page(served, "/msa/november").body.decode()


def test_only_the_picture_of_the_next_part_is_served(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    _, number = folder.study.order(PEOPLE[0])[0]
    first = served.ask("GET", "/msa/november/1/picture/0")
    assert (first.status, first.headers["content-type"]) == (200, "image/png")
    assert first.body == folder.picture(number).read_bytes()
    assert served.ask("GET", "/msa/november/1/picture/1").status == 404
    answer(served, 0)
    assert served.ask("GET", "/msa/november/1/picture/0").status == 404
    assert served.ask("GET", "/msa/november/1/picture/1").status == 200


def test_a_picture_that_no_browser_shows_is_sent_as_png(serve: Serve) -> None:
    served = serve()
    ledger, (part,) = served.station.ledger, plan(n=1).parts
    study = plan(n=1, parts=(part.model_copy(update={"image": "parts/1.tiff"}),))
    data = codec.encode_png(picture(90))
    folder = make(studies_of(ledger.path, ledger.station), study, [("parts/1.tiff", data)], [])
    reply = served.ask("GET", "/msa/november/1/picture/0")
    assert reply.headers["content-type"] == "image/png"
    assert codec.decode(reply.body, "sent").mean() == 90
    folder.picture(1).write_bytes(b"nothing")
    assert served.ask("GET", "/msa/november/1/picture/0").status == 503


def test_an_answer_is_kept_and_leads_to_the_next_part(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    assert answer(served, 0, "bad") == (303, "/msa/november/1")
    assert "Part 2 of 4" in page(served, "/msa/november/1").body.decode()
    assert [a.judgement for a in folder.appraisals(PEOPLE[0])] == ["bad"]


def test_an_answer_that_is_sent_twice_counts_once(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    answer(served, 0, "bad")
    assert answer(served, 0, "good") == (303, "/msa/november/1?again")
    assert "judged already" in page(served, "/msa/november/1?again").body.decode()
    assert [a.judgement for a in folder.appraisals(PEOPLE[0])] == ["bad"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"position": "0"},
        {"position": "0", "judgement": "undecided"},
        {"position": "-1", "judgement": "good"},
        {"position": "x", "judgement": "good"},
    ],
)
def test_what_is_not_an_answer_is_refused(serve: Serve, fields: dict[str, str]) -> None:
    served = serve()
    folder = studied(served)
    assert post(served, "/msa/november/1", fields).status == 422
    assert folder.appraisals(PEOPLE[0]) == []


def test_a_disk_that_refuses_an_answer_is_reported_and_the_part_stays_next(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    (folder.path / "appraiser-1.jsonl").mkdir()
    assert answer(served, 0)[0] == 503
    (folder.path / "appraiser-1.jsonl").rmdir()
    assert answer(served, 0) == (303, "/msa/november/1")


@pytest.mark.parametrize("path", ["/msa/novembre", "/msa/november/4", "/msa/november/0", "/msa/.."])
def test_unknown_studies_and_appraisers_are_pages_that_name_it(serve: Serve, path: str) -> None:
    served = serve()
    studied(served)
    assert page(served, path).status == 404


def test_a_damaged_study_is_reported_and_the_others_go_on(serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    (folder.path / "study.json").write_text("{}")
    assert page(served, "/msa").status == 200
    assert page(served, "/msa/november").status == 503


def test_judging_takes_the_scope_judge_and_keeps_the_name_of_the_token(
    serve: Serve, tokens: Tokens, reader: str, judge: str
) -> None:
    served = serve(tokens=tokens.path)
    folder = studied(served)
    looking = {"cookie": logged_in(served, reader)}
    assert page(served, "/msa/november/1", **looking).status == 403
    assert b'href="/msa"' not in page(served, "/records", **looking).body
    assert served.ask("GET", "/msa/november/1/picture/0", **looking).status == 403
    assert served.ask("GET", "/msa/november/1/picture/0").status == 401
    judging = {"cookie": logged_in(served, judge)}
    assert b'href="/msa"' in page(served, "/records", **judging).body
    fields = {"position": "0", "judgement": "good"}
    assert post(served, "/msa/november/1", fields, **judging).status == 303
    assert [a.by for a in folder.appraisals(PEOPLE[0])] == ["anna"]


def shown(served: Served, folder: StudyFolder) -> str:
    result = StudyResult(
        computed_at="2026-11-28T07:00:00+00:00",
        state=FindingState.NOT_ACCEPTABLE,
        sentence="Not acceptable: the light is poor.",
        findings=(),
        notes=(),
    )
    folder.write_result(result, b"<!doctype html><title>r</title><style>p{color:red}</style><p>r")
    return page(served, "/msa/november").body.decode()


def test_what_a_study_shows_stays_hidden_until_everybody_is_through(serve: Serve) -> None:
    served = serve()
    folder = studied(served, n=1, trials=1)
    for name in PEOPLE[:2]:
        folder.answer(name, 0, Judgement.GOOD)
    assert "the light is poor" not in shown(served, folder)
    assert page(served, "/msa/november/report").status == 404
    folder.answer(PEOPLE[2], 0, Judgement.GOOD)
    assert "the light is poor" in page(served, "/msa/november").body.decode()
    reply = page(served, "/msa/november/report")
    assert (reply.status, b"<p>r" in reply.body) == (200, True)
    assert (
        "default-src 'none'; style-src 'unsafe-inline'"
        in (reply.headers["content-security-policy"])
    )


def test_judging_needs_no_statistics_on_the_line_side() -> None:
    heavy = {
        f"{module} imports {name}"
        for module in closure("pipeline.daemon.web.pages.msa")
        for name in imports(modules()[module])
        if name.split(".")[0] in {"scipy", "matplotlib", "sklearn", "pandas", "torch"}
    }
    assert {h for h in heavy if not h.startswith("pipeline.registry.push")} == set()


@pytest.mark.slow
def test_two_people_judge_at_once_by_keyboard_and_the_study_has_their_answers(
    browser: Browser, serve: Serve
) -> None:
    served = serve()
    folder = studied(served)
    open_page(browser, served, "/msa/november")
    click(browser, ".studies a")
    for position, key in enumerate("gbbg", 1):
        wait_for(browser, ".progress label", f"Part {position} of 4")
        until(lambda: browser.execute_script(LOADED, "#picture"), "the picture")
        # Somebody else answers at another screen meanwhile.
        answer(served, position - 1, "good", who=2)
        keys(browser, key)
    wait_for(browser, "main", "All 4 parts are judged. Thank you.")
    given = [a.judgement for a in folder.appraisals(PEOPLE[0])]
    assert given == ["good", "bad", "bad", "good"]
    order = [(a.trial, a.part) for a in folder.appraisals(PEOPLE[0])]
    assert order == folder.study.order(PEOPLE[0])
    assert [a.judgement for a in folder.appraisals(PEOPLE[1])] == ["good"] * 4
    assert console_errors(browser) == []


@pytest.mark.slow
def test_the_keys_are_those_of_the_language_and_the_buttons_work_too(
    browser: Browser, serve: Serve
) -> None:
    served = serve()
    folder = studied(served)
    open_page(browser, served, "/language?to=de&next=/msa/november/1")
    until(lambda: browser.execute_script(LOADED, "#picture"), "the picture")
    keys(browser, "b")  # bad in English; nothing here
    keys(browser, "s")
    wait_for(browser, ".progress label", "Teil 2 von 4")
    until(lambda: browser.execute_script(LOADED, "#picture"), "the picture")
    click(browser, "#judge button[value=good]")
    wait_for(browser, ".progress label", "Teil 3 von 4")
    assert [a.judgement for a in folder.appraisals(PEOPLE[0])] == ["bad", "good"]
    browser.get(f"{served.web.address}/language?to=en&next=/msa")


@pytest.mark.slow
def test_without_a_picture_nothing_can_be_answered(browser: Browser, serve: Serve) -> None:
    served = serve()
    folder = studied(served)
    for part in folder.study.parts:
        folder.picture(part.number).unlink()
    browser.get(f"{served.web.address}/msa/november/1")
    wait_for(browser, "#no-picture", "The picture cannot be shown")
    keys(browser, "g")
    disabled = browser.execute_script(
        "return [...document.querySelectorAll('#judge button')].map((b) => b.disabled)"
    )
    assert disabled == [True, True]
    assert folder.appraisals(PEOPLE[0]) == []
    console_errors(browser)  # of the picture that is not there


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_pages_fit_the_screen_and_keep_nobody_out(
    browser: Browser, serve: Serve, width: int, height: int, scheme: str
) -> None:
    served = serve()
    studied(served)
    with seen_at(browser, width, height, scheme):
        for path in ("/msa", "/msa/november", "/msa/november/1"):
            open_page(browser, served, path)
            page_px, window_px = browser.execute_script(INSIDE)
            assert page_px <= window_px
            assert serious_faults(browser) == []
        until(lambda: browser.execute_script(LOADED, "#picture"), "the picture")
        bottom = browser.execute_script(
            "return Math.max(...[...document.querySelectorAll('#picture, #judge button')]"
            ".map((b) => b.getBoundingClientRect().bottom))"
        )
        assert bottom <= height  # picture and buttons are in view without scrolling
        sizes = browser.execute_script(
            "return [...document.querySelectorAll('#judge button')]"
            ".map((b) => b.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 96
        assert text(browser, "h1") == PEOPLE[0]
