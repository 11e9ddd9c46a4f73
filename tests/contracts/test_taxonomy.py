"""Which label means which class."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.contracts.taxonomy import Disposition, PartClass, Taxonomy
from pipeline.errors import DataError

CLASSES = Taxonomy(
    classes=(
        PartClass(name="good", disposition=Disposition.PASS, aliases=("ok", "io")),
        PartClass(name="scratch", disposition=Disposition.REWORK),
        PartClass(name="crack", disposition=Disposition.SCRAP, aliases=("fracture",)),
    )
)


def part(name: str, disposition: Disposition, *aliases: str) -> PartClass:
    return PartClass(name=name, disposition=disposition, aliases=aliases)


@pytest.mark.parametrize(
    ("label", "index"), [("good", 0), ("io", 0), ("scratch", 1), ("fracture", 2), ("crack", 2)]
)
def test_a_name_and_its_aliases_mean_the_same_class(label: str, index: int) -> None:
    assert CLASSES.index(label) == index


def test_an_unknown_label_names_the_nearest_class_all_classes_and_the_remedy() -> None:
    with pytest.raises(DataError) as caught:
        CLASSES.index("scrach")
    assert str(caught.value) == (
        'class "scrach" is not in the taxonomy; did you mean "scratch"? '
        "choose crack, good, scratch, or add it (or an alias) to taxonomy.yaml"
    )


def test_a_label_in_another_case_is_another_label() -> None:
    with pytest.raises(DataError, match='did you mean "crack"'):
        CLASSES.index("Crack")


def test_order_is_that_of_the_file() -> None:
    assert CLASSES.names == ("good", "scratch", "crack")


def test_only_the_disposition_pass_is_good() -> None:
    assert CLASSES.passing == (True, False, False)
    looked_at = part("odd", Disposition.REVIEW)
    assert Taxonomy(classes=(part("a", Disposition.PASS), looked_at)).passing == (True, False)


@pytest.mark.parametrize(
    "classes",
    [
        (part("a", Disposition.PASS), part("a", Disposition.SCRAP)),
        (part("b", Disposition.PASS, "a"), part("a", Disposition.SCRAP)),
        (part("b", Disposition.PASS, "a"), part("c", Disposition.SCRAP, "a")),
    ],
    ids=["two names", "alias and name", "two aliases"],
)
def test_a_label_of_two_classes_is_refused_by_name(classes: tuple[PartClass, ...]) -> None:
    with pytest.raises(ValidationError, match="stands for more than one class: a"):
        Taxonomy(classes=classes)


def test_classes_that_all_pass_are_refused() -> None:
    with pytest.raises(ValidationError, match="every class passes"):
        Taxonomy(classes=(part("a", Disposition.PASS), part("b", Disposition.PASS)))


def test_classes_of_which_none_passes_are_allowed() -> None:
    kinds = Taxonomy(classes=(part("a", Disposition.SCRAP), part("b", Disposition.REWORK)))
    assert kinds.passing == (False, False)


def test_one_class_is_not_a_taxonomy() -> None:
    with pytest.raises(ValidationError, match="at least 2"):
        Taxonomy(classes=(part("a", Disposition.SCRAP),))


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 character"):
        part("", Disposition.PASS)


def of(*classes: tuple[str, str, int]) -> Taxonomy:
    return Taxonomy.model_validate(
        {"classes": [{"name": n, "disposition": d, "severity": s} for n, d, s in classes]}
    )


def test_the_gravest_class_has_the_highest_severity() -> None:
    taxonomy = of(("good", "pass", 0), ("crack", "rework", 8), ("stain", "scrap", 2))
    assert taxonomy.gravest(["stain", "crack", "good"]) == "crack"


def test_of_one_severity_the_class_that_is_scrapped_weighs_more() -> None:
    taxonomy = of(("crack", "scrap", 0), ("stain", "rework", 0), ("good", "pass", 0))
    assert taxonomy.gravest(["good", "crack", "stain"]) == "crack"
    assert taxonomy.gravest(["good", "stain"]) == "stain"


def test_of_classes_that_weigh_the_same_the_last_is_the_gravest() -> None:
    taxonomy = of(("good", "pass", 0), ("a", "scrap", 1), ("b", "scrap", 1))
    assert taxonomy.gravest(["b", "a"]) == "b"
