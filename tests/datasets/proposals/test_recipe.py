"""The files of a proposed recipe, and the list of recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.datasets.proposals import recipe
from pipeline.errors import DataError

LISTS = {
    "recipes:\n  - solar\n": "recipes:\n  - solar\n  - mine\n",
    "# a\nrecipes: # b\n- solar # c\n\n# d\n": "# a\nrecipes: # b\n- solar # c\n- mine\n\n# d\n",
    "recipes: [solar, steel]  # all\n": "recipes: [solar, steel, mine]  # all\n",
    "recipes: []\n": "recipes: [mine]\n",
    "recipes:\n": "recipes:\n  - mine\n",
    "recipes:\n  - mine\n": "recipes:\n  - mine\n",
    "recipes:\n  - solar": "recipes:\n  - solar\n  - mine\n",
}


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / recipe.RECIPES
    path.parent.mkdir()
    path.write_text("# all\nrecipes:\n  - solar\n")
    return path


@pytest.mark.parametrize("text", LISTS)
def test_a_recipe_is_added_to_the_list_and_comments_stay(text: str, recipes: Path) -> None:
    recipes.write_text(text)
    assert recipe.listed("mine") == LISTS[text]


def test_a_name_that_yaml_reads_as_another_type_is_quoted(recipes: Path) -> None:
    assert yaml.safe_load(recipe.listed("0815"))["recipes"] == ["solar", "0815"]


@pytest.mark.parametrize("text", ["recipes: &r\n  - solar\nmore: *r\n", "recipes:\n- solar\n---\n"])
def test_a_list_that_cannot_be_extended_is_named(text: str, recipes: Path) -> None:
    recipes.write_text(text)
    with pytest.raises(DataError, match=r"conf/recipes\.yaml"):
        recipe.listed("mine")


def test_without_a_project_the_folder_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="go to the project's folder"):
        recipe.listed("mine")
    with pytest.raises(DataError, match=r"dvc\.yaml and conf/"):
        recipe.templates()


@pytest.mark.parametrize("name", ["lines", "template", "", "a/b", "../a", "a b", "-a", "a\n"])
def test_a_name_that_cannot_be_a_recipe_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"recipe"):
        recipe.check_name(name)


def test_all_files_are_written_and_the_recipe_is_listed(recipes: Path) -> None:
    recipe.write_recipe("mine", {"ingest.yaml": "a: 1\n", "train.yaml": "b: 2\n"})
    home = recipes.parent / "mine"
    assert sorted(p.name for p in home.iterdir()) == ["ingest.yaml", "train.yaml"]
    assert recipes.read_text() == "# all\nrecipes:\n  - solar\n  - mine\n"


def test_what_else_is_in_a_recipe_that_is_replaced_stays(recipes: Path) -> None:
    recipe.write_recipe("mine", {"ingest.yaml": "a: 1\n"})
    (recipes.parent / "mine/golden.png").write_bytes(b"picture")
    recipe.write_recipe("mine", {"ingest.yaml": "a: 2\n"})
    assert (recipes.parent / "mine/golden.png").read_bytes() == b"picture"
    assert (recipes.parent / "mine/ingest.yaml").read_text() == "a: 2\n"
    assert recipes.read_text().count("mine") == 1


def test_where_the_list_cannot_be_written_no_recipe_is_left(
    recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "conf/recipes.yaml")

    monkeypatch.setattr(recipe, "write_whole", full)
    with pytest.raises(DataError, match=r"conf/recipes\.yaml cannot be written \(No space left"):
        recipe.write_recipe("mine", {"ingest.yaml": "a: 1\n"})
    assert sorted(p.name for p in recipes.parent.iterdir()) == ["recipes.yaml"]
