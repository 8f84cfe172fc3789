"""Attention pictures: the right rows of the attention, the smallest masks, and files that show them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from evaluation_parts import GREY, Colours, Patterns, Splits, freeze
from sslkit.errors import RunError, UserError
from sslkit.parts import Backbone, Preprocess, Tokens
from sslkit_evaluators.attention import Attention, cls_attention, mass_masks, pixels
from sslkit_evaluators.attention_picture import GAP, HEAD, TILE, attention_picture


class Looker(Backbone):
    """Attends to bright patches: one [CLS] token, one register, patches of 4 pixels, two heads."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"attention"})
    stride = 4
    embed_dim = 1

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        return Tokens(images.mean(dim=(1, 2, 3))[:, None])

    def attention(self, images: Tensor) -> Tensor:
        bright = torch.nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 4).flatten(1)
        scores = torch.stack([bright * 3, -bright * 3], dim=1)
        row = torch.cat([torch.zeros(*scores.shape[:2], 2), scores], dim=2).softmax(dim=2)
        return row[:, :, None].expand(-1, -1, row.shape[2], -1)


def test_the_cls_row_without_prefix_tokens_sums_to_one() -> None:
    attention = torch.rand(2, 3, 2 + 6, 2 + 6).softmax(dim=-1)
    maps = cls_attention(attention, (8, 12), 4)
    assert maps.shape == (2, 3, 2, 3)
    expected = attention[:, :, 0, 2:] / attention[:, :, 0, 2:].sum(-1, keepdim=True)
    torch.testing.assert_close(maps.flatten(2), expected)
    with pytest.raises(RunError, match="8 tokens"):
        cls_attention(attention, (16, 16), 4)


def test_masks_are_the_smallest_sets_that_hold_the_mass() -> None:
    maps = torch.rand(6, 3, 3, generator=torch.Generator().manual_seed(0)) ** 3
    maps /= maps.sum(dim=(1, 2), keepdim=True)
    for mass in (0.1, 0.6, 0.95):
        for values, mask in zip(maps, mass_masks(maps, mass), strict=True):
            held = float(values[mask].sum())
            assert held >= mass - 1e-6
            smaller = itertools.combinations(values.flatten().tolist(), int(mask.sum()) - 1)
            assert max(map(sum, smaller)) < mass


def test_masks_of_equal_and_of_single_patches() -> None:
    assert mass_masks(torch.full((1, 2, 5), 0.1), 0.6).sum() == 6
    single = torch.zeros(1, 2, 2)
    single[0, 1, 0] = 1
    assert mass_masks(single, 0.6).tolist() == [[[False, False], [True, False]]]


def test_pictures_are_written_for_the_first_readable_images(tmp_path: Path) -> None:
    data = Splits(Patterns(9), Patterns(6, salt=1, unreadable=(1,)))
    with freeze(Looker()) as frozen:
        metrics = Attention(images=3).evaluate(frozen, data, tmp_path)
    assert [path.name for path in metrics.artifacts] == [f"image_{index:05d}.png" for index in (0, 2, 3)]
    assert sorted(tmp_path.iterdir()) == sorted(metrics.artifacts)
    assert [bad.index for bad in frozen.bad] == [1]
    sizes = {Image.open(path).size for path in metrics.artifacts}
    # an image and two heads, two rows with a line of labels each, the title above and the scale beside them
    assert sizes == {(3 * (TILE + GAP) + GAP + 98, 24 + 2 * (16 + TILE + GAP))}
    # two of four patches for each of two heads, between one patch and uniform
    assert 25 <= metrics.values["mask_share"] <= 75
    assert 0 < metrics.values["mean_entropy"] <= np.log(4)


def test_the_train_split_another_size_and_colour(tmp_path: Path) -> None:
    with freeze(Looker(), Preprocess(size=8)) as frozen:
        metrics = Attention(images=50, size=16).evaluate(frozen, Splits(Colours()), tmp_path)
        assert len(metrics.artifacts) == 5
        with pytest.raises(UserError, match=r"size: 18 is no multiple of the backbone's patch of 4; use 16"):
            Attention(size=18).evaluate(frozen, Splits(Colours()), tmp_path)
        with pytest.raises(RunError, match="no image could be read"):
            Attention().evaluate(frozen, Splits(Patterns(2, unreadable=(0, 1))), tmp_path)


def test_a_picture_shows_image_maps_and_masks() -> None:
    image = torch.zeros(2, 2, 3, dtype=torch.uint8)
    image[:, 1] = 200
    maps = torch.tensor([[[0.0, 0.5], [0.0, 0.5]]])
    sheet = np.asarray(attention_picture(image, maps, maps > 0.1, "one.png", 0.6))
    left, right, row, below = 4 + 40, 4 + 120, HEAD + 80, HEAD + 80 + 16 + 164
    assert sheet[row, left].tolist() == [0, 0, 0]
    assert sheet[row, right].tolist() == [200, 200, 200]
    # the map: dark on the left, bright on the right; the mask: faded on the left, as it is on the right
    assert sheet[row, 164 + left].sum() < 20 < 500 < sheet[row, 164 + right].sum()
    assert sheet[below, 164 + left].tolist() == [204, 204, 204]
    assert sheet[below, 164 + right].tolist() == [200, 200, 200]
    # the scale: bright at the top, dark at the bottom, and its words beside it
    bar = 2 * 164 + 4 + 7
    assert sheet[HEAD + 2, bar].sum() > 500 > 20 > sheet[HEAD + TILE - 2, bar].sum()
    assert (sheet[HEAD : HEAD + 30, bar + 12 :] < 100).any()


def test_the_title_is_whole_however_long_the_name_of_the_file() -> None:
    maps = torch.full((1, 1, 1), 1.0)
    image = torch.zeros(2, 2, 3, dtype=torch.uint8)
    short, long = (attention_picture(image, maps, maps > 0, name, 0.6) for name in ("a.png", "animals/" * 20 + "a.png"))
    assert long.width > 20 * 8 * 5 > short.width
    assert (np.asarray(long)[:HEAD, -3:] == 255).all()


def test_pixels_undo_the_normalisation() -> None:
    images = Patterns(3)
    with freeze(Looker(), GREY) as frozen:
        shown = pixels(frozen.batch(images, [2])[0], frozen)
        raw = frozen.features(images, extract=lambda batch: batch.flatten(1)).x[2]
    expected = ((raw * 0.25 + 0.5) * 255).round().reshape(8, 8)
    assert shown.shape == (8, 8, 3)
    assert torch.equal(shown[:, :, 1].float(), expected)


@pytest.mark.parametrize("options", [{"images": 0}, {"size": 0}, {"mass": 0.0}, {"mass": 1.0}])
def test_options_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        Attention(**options)
