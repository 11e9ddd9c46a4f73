"""What YAML may say of the preparation."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import config
from pipeline.contracts.spec import PreprocessSpec, RawPixels
from pipeline.stages import preprocess
from tests.imports import ROOT

TEMPLATE = (ROOT / "conf/template/preprocess.yaml").read_text()
OFFERED = [line for line in TEMPLATE.splitlines() if line.startswith("  # ")]


@pytest.mark.parametrize("line", OFFERED)
def test_every_line_that_the_template_offers_is_valid(line: str, tmp_path: Path) -> None:
    text = TEMPLATE.replace(line, line.replace("# ", "", 1))
    (tmp_path / "preprocess.yaml").write_text(text)
    spec = config.load(tmp_path / "preprocess.yaml", preprocess.Config).spec
    step = line.split("# ")[1].split(":")[0]
    assert getattr(spec, step) is not None


def test_the_template_offers_every_optional_step() -> None:
    optional = {name for name, f in PreprocessSpec.model_fields.items() if f.default is None}
    optional.remove("raw")  # which comes from ingest.yaml
    assert {line.split("# ")[1].split(":")[0] for line in OFFERED} == optional


def test_a_spec_without_raw_is_written_as_stations_of_the_version_before_read_it() -> None:
    spec = PreprocessSpec(width_px=32, height_px=32)
    assert "raw" not in spec.model_dump(mode="json")
    raw = spec.model_copy(update={"raw": RawPixels(bit_depth=12)})
    assert PreprocessSpec.model_validate(raw.model_dump(mode="json")) == raw


def test_a_spec_names_the_pictures_that_it_needs() -> None:
    spec = PreprocessSpec.model_validate(
        {
            "width_px": 32,
            "height_px": 32,
            "flat_field": {"reference": "flat"},
            "locate": {"by": "template", "reference": "golden"},
        }
    )
    assert spec.references == ("flat", "golden")


@pytest.mark.parametrize("name", ["../flat", "Flat", "", "a/b", "flat.png"])
def test_a_reference_is_a_plain_name_not_a_path(name: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        PreprocessSpec.model_validate(
            {"width_px": 32, "height_px": 32, "flat_field": {"reference": name}}
        )
