"""What a person reads who made a mistake in a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from pipeline.config import load, plain
from pipeline.contracts.spec import PreprocessSpec
from pipeline.contracts.taxonomy import Taxonomy
from pipeline.datasets.adapters import ADAPTERS
from pipeline.datasets.adapters.elpv import Config as ElpvConfig
from pipeline.errors import ConfigError
from pipeline.plugins import Strict
from pipeline.stages.ingest import Config as IngestConfig

GOOD_SPEC = "colour: grey\nwidth_px: 32\nheight_px: 16\n"

ALL_ADAPTERS = ", ".join(ADAPTERS.names())


class Sink(Strict):
    kind: Literal["http", "jsonl", "mqtt"]
    topics: list[str] = Field(default_factory=list)


class Line(Strict):
    sinks: list[Sink] = Field(default_factory=list)
    by_name: dict[str, Sink] = Field(default_factory=dict)
    rows: list[list[int]] = Field(default_factory=list)
    spare: Sink | None = None


class Aliased(Strict):
    station_name: str = Field("", alias="station")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.yaml"


def faults(path: Path, text: str, model: type[BaseModel] = PreprocessSpec) -> list[str]:
    """The lines of the message, without the folder."""
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, model)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    return [line.removeprefix(f"{path.parent}/") for line in lines]


def test_a_right_file_becomes_its_model(path: Path) -> None:
    path.write_text(GOOD_SPEC)
    assert load(path, PreprocessSpec) == PreprocessSpec(colour="grey", width_px=32, height_px=16)


def test_an_unknown_key_names_the_nearest_spelling_all_choices_and_its_line(path: Path) -> None:
    assert faults(path, GOOD_SPEC + "interpolaton: area\n") == [
        'some.yaml:4 key "interpolaton" unknown; did you mean "interpolation"? choose clahe, '
        "colour, fit, flat_field, height_px, interpolation, locate, pad_value, raw, rectify, "
        "roi, tiles, unwrap, width_px"
    ]


def test_a_key_like_no_other_gets_no_hint_but_all_choices(path: Path) -> None:
    (said,) = faults(path, GOOD_SPEC + "zzzz: 1\n")
    assert "did you mean" not in said
    assert "choose clahe, colour" in said


def test_an_unknown_key_further_in_is_named_with_its_path_and_the_choices_there(path: Path) -> None:
    said = faults(path, GOOD_SPEC + "clahe:\n  tiles: 4\n  clip: 2\n")
    assert said == [
        'some.yaml:6 key "clahe.clip" unknown; did you mean "clip_limit"? choose clip_limit, tiles'
    ]


def test_a_wrong_type_shows_the_value_and_its_line(path: Path) -> None:
    (said,) = faults(path, "colour: grey\nwidth_px: wide\nheight_px: 16\n")
    assert said.startswith('some.yaml:2 width_px "wide": input should be a valid integer')


def test_a_value_out_of_range_shows_the_range(path: Path) -> None:
    (said,) = faults(path, "colour: grey\nwidth_px: 4\nheight_px: 16\n")
    assert said == 'some.yaml:2 width_px "4": input should be greater than or equal to 8'


def test_not_a_number_is_not_within_a_range(path: Path) -> None:
    (said,) = faults(path, GOOD_SPEC + "clahe:\n  clip_limit: .nan\n")
    assert said.startswith('some.yaml:5 clahe.clip_limit "nan"')


def test_a_missing_key_is_named(path: Path) -> None:
    assert faults(path, "colour: grey\nwidth_px: 32\n") == [
        'some.yaml:1 key "height_px" is missing; add it'
    ]


def test_a_key_missing_further_in_points_at_the_line_of_its_parent(path: Path) -> None:
    said = faults(path, GOOD_SPEC + "roi:\n  x_px: 0\n  y_px: 0\n  width_px: 2\n")
    assert said == ['some.yaml:4 key "roi.height_px" is missing; add it']


def test_a_wrong_choice_names_the_nearest_and_all_choices(path: Path) -> None:
    assert faults(path, "colour: gray\nwidth_px: 32\nheight_px: 16\n") == [
        'some.yaml:1 colour "gray" unknown; did you mean "grey"? choose grey, rgb'
    ]


def test_a_wrong_choice_of_three_lists_all_three(path: Path) -> None:
    assert faults(path, "spare:\n  kind: mqqt\n", Line) == [
        'some.yaml:2 spare.kind "mqqt" unknown; did you mean "mqtt"? choose http, jsonl, mqtt'
    ]


def test_several_faults_are_listed_at_once(path: Path) -> None:
    said = faults(path, "colour: gray\nwidth_px: wide\nfits: stretch\n")
    assert sorted(line.split()[0] + " " + line.split()[1] for line in said) == [
        "some.yaml:1 colour",
        "some.yaml:1 key",  # height_px is missing
        "some.yaml:2 width_px",
        "some.yaml:3 key",  # fits is unknown
    ]


def test_a_fault_in_a_list_names_its_position_and_line(path: Path) -> None:
    said = faults(path, "sinks:\n  - kind: http\n  - kind: mqqt\n", Line)
    assert [line.partition(" unknown")[0] for line in said] == ['some.yaml:3 sinks[1].kind "mqqt"']


def test_a_fault_in_a_list_of_lists_names_both_positions(path: Path) -> None:
    (said,) = faults(path, "rows:\n  - [1, 2]\n  - - 3\n    - x\n", Line)
    assert said.startswith('some.yaml:4 rows[1][1] "x"')


def test_an_unknown_key_in_a_list_names_the_choices_there(path: Path) -> None:
    said = faults(path, "sinks:\n  - kind: http\n    topic: a\n", Line)
    assert said == [
        'some.yaml:3 key "sinks[0].topic" unknown; did you mean "topics"? choose kind, topics'
    ]


def test_an_unknown_key_under_a_free_name_names_the_choices_there(path: Path) -> None:
    said = faults(path, "by_name:\n  west:\n    kind: http\n    topic: a\n", Line)
    assert said == [
        'some.yaml:4 key "by_name.west.topic" unknown; did you mean "topics"? choose kind, topics'
    ]


def test_an_unknown_key_of_a_class_names_the_choices_there(path: Path) -> None:
    text = "classes:\n  - {name: a, disposition: pass}\n  - name: b\n    disposition: scrap\n"
    said = faults(path, text + "    severty: 3\n", Taxonomy)
    assert (
        'some.yaml:5 key "classes[1].severty" unknown; did you mean "severity"? '
        "choose aliases, disposition, name, severity"
    ) in said


def test_one_fault_in_a_list_is_not_reported_as_a_list_too_short(path: Path) -> None:
    text = "classes:\n  - {name: a, disposition: pass}\n  - {name: b, disposition: scarp}\n"
    said = faults(path, text, Taxonomy)
    assert [line.split()[1] for line in said] == ["classes[1].disposition"]


def test_what_a_model_itself_refuses_is_reported_with_the_file(path: Path) -> None:
    text = "classes:\n  - {name: a, disposition: pass}\n  - {name: b, disposition: pass}\n"
    (said,) = faults(path, text, Taxonomy)
    assert "every class passes" in said


def test_a_key_with_an_alias_is_offered_by_its_alias(path: Path) -> None:
    (said,) = faults(path, "staton: west\n", Aliased)
    assert said.endswith('did you mean "station"? choose station')


def test_a_key_given_twice_names_both_lines(path: Path) -> None:
    assert faults(path, GOOD_SPEC + "colour: rgb\n") == [
        'some.yaml:4 key "colour" stands already in line 1; remove one of the two'
    ]


def test_a_key_given_twice_inside_a_list_is_found(path: Path) -> None:
    (said,) = faults(path, "sinks:\n  - kind: http\n    kind: mqtt\n", Line)
    assert said.startswith('some.yaml:3 key "kind" stands already in line 2')


def test_the_same_key_in_two_places_is_not_a_duplicate(path: Path) -> None:
    path.write_text("sinks:\n  - kind: http\n  - kind: http\n")
    assert len(load(path, Line).sinks) == 2


def test_broken_yaml_names_the_line(path: Path) -> None:
    (said,) = faults(path, "colour: grey\nwidth_px: [1, 2\nheight_px: 3\n")
    assert said.startswith("some.yaml:3 is not valid YAML: ")


def test_two_documents_in_one_file_are_refused(path: Path) -> None:
    (said,) = faults(path, GOOD_SPEC + "---\ncolour: rgb\n")
    assert said.startswith("some.yaml:4 is not valid YAML")


@pytest.mark.parametrize(
    ("locate", "said"),
    [
        (
            "{by: contur}",
            '4 locate.by "contur" unknown; did you mean "contour"? choose contour, te',
        ),
        ("{part: brighter}", '4 key "locate.by" is missing; add it'),
        ("{by: contour}", '4 key "locate.part" is missing; add it'),
        ("{by: contour, part: light}", '4 locate.part "light" unknown; did you mean "brighter"?'),
        (
            "{by: contour, part: darker, margn: 1}",
            '4 key "locate.margn" unknown; did you mean "margin"? choose by, margin, min_confi',
        ),
    ],
)
def test_a_choice_of_several_forms_is_explained_as_the_file_has_it(
    path: Path, locate: str, said: str
) -> None:
    (line,) = faults(path, f"{GOOD_SPEC}locate: {locate}\n")
    assert line.startswith(f"some.yaml:{said}")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_is_named(path: Path, text: str) -> None:
    assert faults(path, text) == ["some.yaml:1 is empty; write `key: value` lines"]


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "list"), ("words\n", "str")])
def test_something_else_than_keys_at_the_top_is_refused(path: Path, text: str, kind: str) -> None:
    assert faults(path, text) == [f"some.yaml:1 holds {kind}; write `key: value` lines"]


def test_a_missing_file_names_those_beside_it(path: Path) -> None:
    (path.parent / "b.yaml").touch()
    (path.parent / "a.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        load(path, PreprocessSpec)
    assert str(caught.value) == f"{path}: no such file; beside it: a.yaml, b.yaml"


def test_a_file_in_a_missing_folder_is_just_missing(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file$"):
        load(path.parent / "nowhere" / "some.yaml", PreprocessSpec)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, PreprocessSpec)


def test_a_file_that_is_not_utf8_is_refused(path: Path) -> None:
    path.write_bytes("colour: gr\xe4y\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        load(path, PreprocessSpec)


def test_the_source_gets_the_model_of_the_plugin_it_selects(path: Path) -> None:
    path.write_text("source:\n  type: elpv\n  defective_above: 0.9\nsplit: {}\n")
    source = load(path, IngestConfig).source
    assert isinstance(source, ElpvConfig)
    assert source.defective_above == 0.9


def test_an_unknown_plugin_names_the_nearest_all_choices_and_its_line(path: Path) -> None:
    assert faults(path, "split: {}\nsource:\n  type: elvp\n", IngestConfig) == [
        f'some.yaml:3 source.type "elvp" unknown; did you mean "elpv"? choose {ALL_ADAPTERS}'
    ]


def test_a_list_for_a_plugin_name_is_refused_like_any_unknown_name(path: Path) -> None:
    (said,) = faults(path, "source:\n  type: [elpv]\nsplit: {}\n", IngestConfig)
    assert said.endswith(f"choose {ALL_ADAPTERS}")


def test_a_missing_plugin_name_is_a_missing_key(path: Path) -> None:
    said = faults(path, "split: {}\nsource:\n  defective_above: 0\n", IngestConfig)
    assert 'some.yaml:2 key "source.type" is missing; add it' in said


def test_a_plugins_own_keys_are_checked_at_their_line(path: Path) -> None:
    text = "split: {}\nsource:\n  type: elpv\n  defective_abov: 0\n"
    assert faults(path, text, IngestConfig) == [
        'some.yaml:4 key "source.defective_abov" unknown; did you mean "defective_above"? '
        "choose defective, defective_above, good, type"
    ]


def test_a_key_of_another_plugin_is_unknown(path: Path) -> None:
    (said,) = faults(path, "split: {}\nsource:\n  type: elpv\n  root: x\n", IngestConfig)
    assert said.startswith('some.yaml:4 key "source.root" unknown')


def test_a_missing_key_of_a_plugin_is_named(path: Path) -> None:
    assert faults(path, "split: {}\nsource:\n  type: folder\n", IngestConfig) == [
        'some.yaml:2 key "source.root" is missing; add it'
    ]


def test_a_plugins_wrong_value_and_another_fault_are_listed_together(path: Path) -> None:
    text = "source:\n  type: elpv\n  defective_above: two\nsplit:\n  sed: 1\n"
    said = faults(path, text, IngestConfig)
    assert sorted(line.split()[0] for line in said) == ["some.yaml:3", "some.yaml:5"]


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object:os.system {}",
        "!unknown x",
        "=",
        "2024-13-45",
        "!!int x",
        "!!bool x",
        "!!timestamp x",
        "9" * 5000,
    ],
    ids=lambda value: value[:20],
)
def test_a_value_that_yaml_cannot_build_names_its_line(path: Path, value: str) -> None:
    (said, *_) = faults(path, f"colour: grey\nwidth_px: {value}\n")
    assert said.startswith("some.yaml:2 ")


@pytest.mark.parametrize("key", ["? {a: b}\n: c\n", "? [a, b]\n: c\n", "<<: 1\n"])
def test_a_key_that_is_not_a_word_names_its_line(path: Path, key: str) -> None:
    (said, *_) = faults(path, GOOD_SPEC + key)
    assert said.startswith("some.yaml:4 ")


def test_a_list_that_contains_itself_is_refused(path: Path) -> None:
    (said, *_) = faults(path, "rows: &me\n  - *me\n", Line)
    assert said.startswith("some.yaml:")


def test_a_thousand_brackets_are_refused(path: Path) -> None:
    (said, *_) = faults(path, "rows: " + "[" * 5000 + "\n", Line)
    assert said.startswith("some.yaml:1 ")


def bomb(levels: int) -> str:
    """Ten aliases of ten aliases of ..., all in as many lines as there are levels."""
    lines = ["l0: &l0 [x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_aliases_of_aliases_are_refused_with_their_line(path: Path) -> None:
    (said, *more) = faults(path, bomb(9), Line)
    assert (more, said.split()[0]) == ([], "some.yaml:6")
    assert "more than 100,000 values, those of an alias (*name) counted each time" in said


def test_a_chain_of_aliases_is_nested_as_deeply_as_it_is_long(path: Path) -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))
    (said, *more) = faults(path, chain, Line)
    assert (more, "nested too deeply; at most 100 levels" in said) == ([], True)


def test_an_alias_stands_for_its_value(path: Path) -> None:
    path.write_text("a: &a [1, 2]\nb: *a\nc: *a\n")
    assert plain(path) == {"a": [1, 2], "b": [1, 2], "c": [1, 2]}


@pytest.mark.parametrize("number", ["0x" + "f" * 5000, "9" * 5000, "1" + ":59" * 5000, "1." * 5000])
def test_an_endless_number_is_refused_without_being_printed(path: Path, number: str) -> None:
    (said, *more) = faults(path, f"station: {number}\n", Line)
    assert (more, len(said) < 300) == ([], True)


YAML_LIKE = st.text(st.sampled_from("ab1:?-[]{}&*!<='\"#\n ,.|>%~_"), max_size=40)
KEYS = st.sampled_from(["source", "type", "elpv", "folder", "split", "seed", "x", "1", "~", "{}"])
NESTED = st.recursive(
    KEYS | st.floats() | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(text=YAML_LIKE | st.text(max_size=30) | NESTED.map(repr))
def test_no_text_raises_anything_but_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    path.write_text(text, "utf-8", errors="surrogatepass")
    with pytest.raises(ConfigError, match="arbitrary"):
        load(path, IngestConfig)


def test_a_password_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    class Settings(Strict):
        port: int

    file = tmp_path / "a.yaml"
    file.write_text("port: https://user:secret@plant/secret/hook?token=secret\n")
    with pytest.raises(ConfigError) as error:
        load(file, Settings)
    assert "secret" not in str(error.value)
    assert "***@plant/..." in str(error.value)
