"""Projects of Label Studio: choices, and regions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.contracts.sample import Box, Sample
from pipeline.datasets.adapters import labelstudio
from pipeline.datasets.listings.listing import Listing
from pipeline.errors import DataError
from pipeline.imaging.codec import encode_png


def answer(*choices: str, control: str = "verdict", **more: Any) -> dict[str, Any]:
    """One annotator's submission, as Label Studio exports it."""
    value = {"choices": list(choices)}
    result = {"type": "choices", "from_name": control, "to_name": "image", "value": value}
    return {"id": 5, "completed_by": 1, "was_cancelled": False, "result": [result], **more}


def task(image: str, *answers: dict[str, Any], number: int = 1) -> dict[str, Any]:
    data = {"image": image, "station": "3"}
    return {"id": number, "data": data, "annotations": list(answers), "predictions": []}


def read(home: Path, content: Any, **more: Any) -> Listing:
    """Read an export beside a real image `img/a.png`."""
    put(home, "img/a.png")
    file = home / "export.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    raw = {"type": "labelstudio", "file": file, **more}
    return labelstudio.read(labelstudio.Config.model_validate(raw))


def put(home: Path, name: str) -> None:
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_bytes(encode_png(np.zeros((4, 4, 3), np.uint8)))


def test_the_choice_is_the_label(tmp_path: Path) -> None:
    assert read(tmp_path, [task("img/a.png", answer("scratch"))]) == [
        Sample("img/a.png", "img/a.png", "scratch", "img/a.png")
    ]


@pytest.mark.parametrize(
    "given",
    [
        "/data/local-files/?d=img/a.png",
        "/data/local-files/?d=img%2Fa.png",
        "http://label.plant:8080/data/local-files/?d=img/a.png",
        "/data/upload/img/a.png",
        "https://plant/label-studio/data/upload/img/a.png",
    ],
)
def test_addresses_of_label_studio_become_paths(tmp_path: Path, given: str) -> None:
    assert read(tmp_path, [task(given, answer("good"))])[0].path == "img/a.png"


def test_uploads_are_found_in_a_copy_without_the_projects_number(tmp_path: Path) -> None:
    put(tmp_path, "1f2e-top left.png")
    given = "/data/upload/7/1f2e-top%20left.png"
    assert read(tmp_path, [task(given, answer("good"))])[0].path == "1f2e-top left.png"


def test_an_upload_that_is_nowhere_keeps_its_full_path_and_is_named(tmp_path: Path) -> None:
    content = [task(f"/data/upload/7/{n}.png", answer("good")) for n in "ax"]
    found = read(tmp_path, content)
    assert [s.path for s in found] == ["img/a.png", "7/x.png"]
    assert found.notes[1].endswith(f"are not in {tmp_path}: 7/x.png")


def test_another_field_can_name_the_image(tmp_path: Path) -> None:
    content = task("ignored", answer("good"))
    content["data"]["photo"] = "img/a.png"
    assert read(tmp_path, [content], field="photo")[0].path == "img/a.png"


def test_most_annotators_decide(tmp_path: Path) -> None:
    votes = [answer("good"), answer("dent"), answer("dent")]
    assert read(tmp_path, [task("img/a.png", *votes)])[0].label == "dent"


def test_the_share_that_did_not_choose_good_is_the_probability(tmp_path: Path) -> None:
    votes = [answer("good"), answer("dent"), answer("good"), answer("crack")]
    (only,) = read(tmp_path, [task("img/a.png", *votes)], good="good")
    assert (only.label, only.defect_probability) == ("good", 0.5)


def test_a_tie_goes_to_the_defect(tmp_path: Path) -> None:
    votes = [answer("good"), answer("dent")]
    (only,) = read(tmp_path, [task("img/a.png", *votes)], good="good")
    assert (only.label, only.defect_probability) == ("dent", 0.5)


def test_without_a_good_label_a_tie_goes_to_the_first_and_no_probability_is_made(
    tmp_path: Path,
) -> None:
    votes = [answer("good"), answer("dent")]
    (only,) = read(tmp_path, [task("img/a.png", *votes)])
    assert (only.label, only.defect_probability) == ("good", None)


def test_an_answer_that_a_reviewer_marked_as_ground_truth_outvotes_all_others(
    tmp_path: Path,
) -> None:
    votes = [answer("good"), answer("good"), answer("dent", ground_truth=True)]
    (only,) = read(tmp_path, [task("img/a.png", *votes)], good="good")
    assert (only.label, only.defect_probability) == ("dent", 1.0)


def test_ground_truth_that_was_cancelled_or_left_empty_does_not_count(tmp_path: Path) -> None:
    empty = answer(ground_truth=True) | {"result": []}
    votes = [answer("good"), answer("dent", ground_truth=True, was_cancelled=True), empty]
    assert read(tmp_path, [task("img/a.png", *votes)])[0].label == "good"


def rectangle(*labels: str, control: str = "box", width: float = 20) -> dict[str, Any]:
    """One annotator's submission with a rectangle, or with none where there is no label."""
    value = {"x": 10, "y": 20, "width": width, "height": 5, "rectanglelabels": list(labels)}
    result = {"type": "rectanglelabels", "from_name": control, "to_name": "image", "value": value}
    return {"was_cancelled": False, "result": [result] if labels else []}


def regions_of(home: Path, *tasks: list[dict[str, Any]], **more: Any) -> Listing:
    """Read a project of regions: the answers to each task."""
    for i in range(len(tasks)):
        put(home, f"img/{i}.png")
    content = [task(f"img/{i}.png", *answers, number=i) for i, answers in enumerate(tasks)]
    return read(home, content, **more)


def test_in_a_project_of_rectangles_their_label_is_that_of_the_image(tmp_path: Path) -> None:
    marked, clean = regions_of(tmp_path, [rectangle("scratch")], [rectangle()])
    assert (marked.label, marked.labels) == ("scratch", ("scratch",))
    assert marked.boxes == (Box("scratch", 0.1, 0.2, 0.3, 0.25, relative=True),)
    assert (clean.label, clean.labels, clean.boxes) == ("good", (), ())


def test_images_without_a_rectangle_have_the_configured_label(tmp_path: Path) -> None:
    found = regions_of(tmp_path, [rectangle("scratch")], [rectangle()], good="ok")
    assert [(s.label, s.defect_probability) for s in found] == [("scratch", 1.0), ("ok", 0.0)]


def test_several_kinds_of_regions_are_left_to_the_taxonomy(tmp_path: Path) -> None:
    both = rectangle("scratch")
    both["result"] += rectangle("crack", control="other")["result"]
    (only,) = regions_of(tmp_path, [both])
    assert only.labels == ("scratch", "crack")


def test_a_rectangle_of_no_size_marks_nothing(tmp_path: Path) -> None:
    first, _ = regions_of(tmp_path, [rectangle("scratch", width=0)], [rectangle("scratch")])
    assert first.label == "good"


def test_most_annotators_decide_whether_something_is_marked_and_a_tie_goes_to_the_defect(
    tmp_path: Path,
) -> None:
    one, two = [rectangle("dent"), rectangle()], [rectangle(), rectangle("dent"), rectangle()]
    found = regions_of(tmp_path, one, two, good="good")
    assert [s.label for s in found] == ["dent", "good"]
    assert [s.defect_probability for s in found] == [0.5, pytest.approx(1 / 3)]


def test_a_region_without_a_label_is_refused_with_its_task(tmp_path: Path) -> None:
    bare = rectangle("dent")
    bare["result"][0]["value"]["rectanglelabels"] = []
    with pytest.raises(DataError, match=r"task 0 has a region \(rectanglelabels\) without a label"):
        regions_of(tmp_path, [bare])


def test_where_there_are_choices_too_they_decide_unless_the_rectangles_are_named(
    tmp_path: Path,
) -> None:
    votes = answer("good")
    votes["result"] += rectangle("dent")["result"]
    assert regions_of(tmp_path, [votes])[0].label == "good"
    assert regions_of(tmp_path, [votes], control="box")[0].label == "dent"


def test_tasks_with_results_of_another_kind_only_ask_for_choices_or_regions(
    tmp_path: Path,
) -> None:
    text = {"result": [{"type": "textarea", "from_name": "t", "value": {"text": ["ok"]}}]}
    with pytest.raises(DataError, match=r"type textarea\); submit answers to a Choices tag"):
        read(tmp_path, [task("img/a.png", text)])


def test_tasks_without_an_answer_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "img/b.png")
    content = [task("img/b.png"), task("img/a.png", answer("good"), number=2)]
    listing = read(tmp_path, content)
    assert listing.notes == [f"1 task(s) of {tmp_path}/export.json have no answer and are left out"]
    assert listing.unlisted == []


def test_skipped_and_empty_annotations_do_not_count(tmp_path: Path) -> None:
    votes = [answer("dent", was_cancelled=True), {"result": []}, answer("good")]
    (only,) = read(tmp_path, [task("img/a.png", *votes)], good="good")
    assert (only.label, only.defect_probability) == ("good", 0.0)


def test_tasks_that_nobody_answered_are_left_out(tmp_path: Path) -> None:
    content = [task("img/b.png"), task("img/a.png", answer("good"), number=2)]
    assert [s.path for s in read(tmp_path, content)] == ["img/a.png"]


def test_one_of_several_controls_can_be_selected(tmp_path: Path) -> None:
    votes = answer("good")
    votes["result"] += answer("blurred", control="quality")["result"]
    assert read(tmp_path, [task("img/a.png", votes)], control="quality")[0].label == "blurred"


def test_several_controls_ask_for_a_selection(tmp_path: Path) -> None:
    votes = [answer("good"), answer("sharp", control="quality")]
    with pytest.raises(DataError, match=r"answers to quality, verdict; set source\.control"):
        read(tmp_path, [task("img/a.png", *votes)])


def test_a_misspelt_control_is_reported_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no answers to "verdikt".*did you mean "verdict"\?'):
        read(tmp_path, [task("img/a.png", answer("good"))], control="verdikt")


def test_a_misspelt_good_label_is_reported_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'nobody chose "god".*did you mean "good"\?'):
        read(tmp_path, [task("img/a.png", answer("good"))], good="god")


def test_two_choices_by_one_annotator_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"task 1 has an annotation that reads .*one choice an"):
        read(tmp_path, [task("img/a.png", answer("dent", "crack"))])


def test_an_image_in_two_tasks_is_refused(tmp_path: Path) -> None:
    content = [task("img/a.png", answer("good"), number=n) for n in (1, 2)]
    with pytest.raises(DataError, match=r"task 2 names img/a\.png, as .*task 1 did"):
        read(tmp_path, content)


def test_a_missing_field_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no text in data\.img .*its data has image, station"):
        read(tmp_path, [task("img/a.png", answer("good"))], field="img")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("/data/local-files/?d=../../etc/b.png", "which is not in"),
        ("/data/upload/%2e%2e/%2e%2e/b.png", "which is not in"),
        ("/data/local-files/", "has no usable path"),
        ("s3://bucket/b.png", "names s3://bucket/b.png, which is not in .*; fetch the images into"),
        ("https://example.com/b.png?key=1", "which is not in .*; fetch the images into it"),
        ("http://[a.png", "which is not a valid path"),
    ],
)
def test_an_image_that_is_not_in_the_root_is_refused(
    tmp_path: Path, given: str, fault: str
) -> None:
    with pytest.raises(DataError, match=rf"task 1.*{fault}"):
        read(tmp_path, [task(given, answer("good"))])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", r"export\.json: Invalid JSON"),
        ("{}", r"export\.json: Input should be a valid array"),
        ('[{"id": 1, "image": "a.png", "choice": "good"}]', r"0\.data: Field required.*JSON-MIN"),
        ("[]", "has 0 tasks and no answer"),
    ],
)
def test_a_file_of_another_form_is_refused_with_where_it_differs(
    tmp_path: Path, content: str, fault: str
) -> None:
    with pytest.raises(DataError, match=fault):
        read(tmp_path, content)


def test_a_missing_export_names_its_setting(tmp_path: Path) -> None:
    config = labelstudio.Config(type="labelstudio", file=tmp_path / "none.json")
    with pytest.raises(DataError, match=r"none\.json \(source\.file in ingest\.yaml\) cannot be"):
        labelstudio.read(config)
