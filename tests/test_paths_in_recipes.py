"""Paths among options: absolute in the recipe, whatever part they belong to, and from wherever it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sslkit.errors import UserError
from sslkit.parts import PathOption
from sslkit.parts.kinds import KINDS
from sslkit.parts.paths import is_path, user_path
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import overrides_from
from sslkit.recipe.paths import absolute_paths
from sslkit.recipe.signature import members, options_of

#: Options of shipped parts that take any text, and name no file.
TEXTS = {
    "timm.arch", "torchvision.arch", "segmentation.subset", "video_segmentation.year", "video_segmentation.subset",
    "image_folder.extensions",
}  # fmt: skip
EVERY = {
    "data": {"name": "image_folder", "root": "d", "listing": "names"},
    "eval_data": {"name": "imagenet"},
    "teacher": {"name": "fixed", "weights": "w.safetensors"},
    "train.cache": "cache",
    "evaluate": {
        "linear": {"head": "head.pth"},
        "copies": {"name": "copy_detection", "root": "c", "distractors": "../more", "whitening": "~/white"},
        "retrieval": {"root": "/somewhere/else"},
    },
}


def test_every_option_of_a_shipped_part_that_takes_any_text_is_a_path_or_listed_here() -> None:
    registry = load_registry()
    texts, paths = set(), set()
    for part in registry.parts:
        for option in options_of(part.load(), KINDS[part.kind].context).values():
            if any(is_path(kind) for kind in members(option.annotation)):
                paths.add(f"{part.name}.{option.name}")
            elif "str" in str(option.hint):
                texts.add(f"{part.name}.{option.name}")
    assert texts == TEXTS
    assert {"image_folder.root", "image_folder.listing", "fixed.weights", "linear.head", "retrieval.root"} <= paths


def test_all_paths_of_a_recipe_are_absolute_and_stay_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("quickstart", overrides_from(EVERY))
    resolved: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(recipe.resolved)))
    assert (resolved["data"]["root"], resolved["data"]["listing"]) == (f"{tmp_path}/d", f"{tmp_path}/names")
    assert resolved["eval_data"]["root"] == f"{tmp_path}/data/imagenet"
    assert resolved["teacher"]["weights"] == f"{tmp_path}/w.safetensors"
    assert resolved["train"]["cache"] == f"{tmp_path}/cache"
    assert resolved["evaluate"]["linear"]["head"] == f"{tmp_path}/head.pth"
    copies = resolved["evaluate"]["copies"]
    assert [copies[key] for key in ("root", "distractors", "whitening")] == [
        f"{tmp_path}/c", f"{tmp_path}/../more", f"{tmp_path}/home/white",
    ]  # fmt: skip
    assert resolved["evaluate"]["retrieval"]["root"] == "/somewhere/else"
    monkeypatch.chdir("/")
    assert load_recipe(resolved).resolved == recipe.resolved


def test_paths_in_lists_and_mappings_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    assert absolute_paths(list[PathOption] | None, ["a", "/b"]) == [f"{here}/a", "/b"]
    assert absolute_paths(tuple[PathOption, ...], ("a",)) == (f"{here}/a",)
    assert absolute_paths(tuple[PathOption, str], ("a", "b")) == (f"{here}/a", "b")
    assert absolute_paths(dict[str, PathOption], {"x": "a"}) == {"x": f"{here}/a"}
    assert absolute_paths(list[str], ["a"]) == ["a"]
    assert absolute_paths(PathOption | None, None) is None


@pytest.mark.parametrize(("path", "said"), [("", "the path is empty"), ("~nobody-of-that-name/x", "there is no user")])
def test_a_path_that_cannot_be_is_told_with_its_place(path: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        user_path(path)
    with pytest.raises(UserError, match=f"overrides: data.root: .*{said}"):
        load_recipe("quickstart", overrides_from({"data": "image_folder", "data.root": path}))
