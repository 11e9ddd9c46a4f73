"""Pictures of test parts that a person should look at, as galleries.json lists them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.plugins import Strict

GALLERIES = "galleries.json"


class PartPicture(Strict):
    """One test part."""

    sample_id: str
    label: str
    likeliest: str = Field(description="The class that is most probable.")
    verdict: str = Field(description="PASS, FAIL or REVIEW.")
    score: float = Field(description="Defect score, 0 to 1.")
    distance: float = Field(
        description="How far the part is from another verdict or, in a gallery of classes, from "
        "another class: in score or in probability, 0 to 1. The smaller, the nearer to the limit."
    )
    file: str = Field(description="The picture, JPEG, beside this list.")
    heat: str = Field(
        "", description="What the network saw with its heat map, JPEG; empty: none was drawn."
    )


class Gallery(Strict):
    """Parts of one kind, those whose result is surest first."""

    name: str
    kind: Literal["verdicts", "classes", "limit"] = Field(
        description="What decides: the limits, the most probable class; limit: parts on both sides "
        "of one limit, by their score."
    )
    title: str
    lead: str = Field(description="One sentence of explanation.")
    n: int = Field(description="How many such parts the test has, shown or not.")
    pictures: tuple[PartPicture, ...]


class Galleries(Strict):
    """All of them, in the order shown."""

    galleries: tuple[Gallery, ...] = ()
