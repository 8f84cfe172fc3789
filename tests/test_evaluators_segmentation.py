"""Attention masks against objects, on a tiny data set in VOC's layout, with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation_parts import PLAIN, ColourPatches, NoImages, freeze
from mask_datasets import voc
from sslkit.errors import RunError, UserError
from sslkit_evaluators.segmentation import Segmentation, jaccard_metrics, jaccard_of_heads


def test_the_best_head_of_each_image_and_one_head_for_all(tmp_path: Path) -> None:
    with freeze(ColourPatches(), PLAIN) as frozen:
        evaluator = Segmentation(root=str(voc(tmp_path / "voc")), size=None, mass=0.95, pictures=1)
        evaluator.check(frozen.backbone, PLAIN, NoImages())
        found = evaluator.evaluate(frozen, NoImages(), tmp_path)
    # a head attends to bright patches or to dark ones: 95 % of exp(3) : 1 is 8 patches of 16 and no more
    assert found.values == pytest.approx(
        {"jaccard": 100, "jaccard_one_head": 50, "best_head": 0, "jaccard_whole_image": 50}
    )
    assert [path.name for path in found.artifacts] == ["bright.png"]
    # tiles keep the shape of the image
    assert Image.open(found.artifacts[0]).size == (3 * 164 + 4 + 98, 24 + 2 * (16 + 84))


def test_void_does_not_count_and_objects_must_be_there() -> None:
    mask = np.array([[0, 255, 3, 3], [0, 0, 3, 255]], dtype=np.uint8)
    heads = torch.tensor([[[False, True]], [[True, False]]])
    # right: 3 pixels; the first head covers them and the void one; the second covers 3 others
    assert jaccard_of_heads(heads, mask) == pytest.approx([1, 0, 3 / 6])
    assert jaccard_of_heads(heads, np.zeros((2, 4), dtype=np.uint8)) is None
    with pytest.raises(RunError, match="no image with an object"):
        jaccard_metrics([])


def test_unreadable_images_are_left_out_and_listed(tmp_path: Path) -> None:
    root = voc(tmp_path / "voc")
    (root / "JPEGImages/bright.jpg").write_bytes(b"no image")
    with freeze(ColourPatches(), PLAIN) as frozen:
        values = Segmentation(root=str(root), size=16, pictures=0).evaluate(frozen, NoImages(), tmp_path).values
        assert [Path(bad.name).name for bad in frozen.bad] == ["bright.jpg"]
    assert values["best_head"] == 1


def test_what_lacks_is_one_sentence(tmp_path: Path) -> None:
    def check(root: Path | None) -> None:
        Segmentation(root=None if root is None else str(root)).check(ColourPatches(), PLAIN, NoImages())

    with pytest.raises(UserError, match="root: where is VOC"):
        check(None)
    with pytest.raises(UserError, match=r"there is no .*ImageSets/Segmentation/val.txt"):
        check(tmp_path)
    root = voc(tmp_path)
    (root / "SegmentationClass/dark.png").unlink()
    with pytest.raises(UserError, match="1 files that .* lists are not there"):
        check(root)
    (root / "ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(UserError, match="lists no image"):
        check(root)


@pytest.mark.parametrize("options", [{"size": 0}, {"mass": 1.0}, {"pictures": -1}])
def test_options_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        Segmentation(**options)  # type: ignore[arg-type]
