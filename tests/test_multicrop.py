"""Multi-crop: pixel-equal to the reference's augmentation, and every choice a function of its generator."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as tv

from sslkit.errors import UserError
from sslkit.parts import ViewSpec
from sslkit_vision.multicrop import MultiCrop, random_box

GOLDEN = Path(__file__).parent / "data" / "evaluators_a.npz"
#: Everything that distorts is off, and the crop is the whole image, by Pillow.
PLAIN: dict[str, Any] = {
    "global_scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "grayscale": 0.0,
    "blur": (0.0, 0.0, 0.0), "solarize": (0.0, 0.0, 0.0), "local_crops": 0, "pixels": "exact",
}  # fmt: skip


def photo(width: int = 60, height: int = 40, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A smooth random image: noise would hide mistakes of filters."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def golden_draws(golden: Any, view: str) -> dict[str, Any]:
    def read(key: str) -> Any:
        return golden[f"augment/{view}/{key}"].tolist()

    factors = dict(
        zip(("brightness", "contrast", "saturation", "hue"), read("brightness_contrast_saturation_hue"), strict=True)
    )
    return {
        "box": read("box_top_left_height_width"), "flip": read("flip"), "jitter": read("jitter"),
        "order": read("order"), **factors, "gray": read("gray"), "blur_radius": read("blur_radius"),
        "solarize": read("solarize"), "rotation": 0.0, "noise_seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("number", range(8))
def test_render_is_pixel_equal_to_the_reference(number: int) -> None:
    with np.load(GOLDEN) as golden:
        image = Image.fromarray(golden["augment/source"])
        draws = golden_draws(golden, f"v{number}")
        expected = golden[f"augment/v{number}/uint8"]
    view = ViewSpec("global0", expected.shape[0])
    found = MultiCrop(channels=3, pixels="exact").render(image, view, draws)
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), expected)


def test_draws_have_the_form_that_render_takes_and_are_plain_numbers() -> None:
    augmenter = MultiCrop(channels=3, global_size=32, local_size=16, local_crops=2, rotation=10, noise=0.1)
    image = photo()
    for view, seed in itertools.product(augmenter.views, range(20)):
        draws = augmenter.draw(view, *image.size, np.random.default_rng(seed))
        again = json.loads(json.dumps(draws))
        before = image.tobytes()
        first, second = augmenter.render(image, view, draws), augmenter.render(image, view, again)
        assert torch.equal(first, second)
        assert first.shape == (3, view.size, view.size)
        assert image.tobytes() == before


def test_draws_depend_on_the_generator_alone_and_not_on_channels() -> None:
    colour, grey = MultiCrop(channels=3), MultiCrop(channels=1)
    for view in colour.views:
        draws = [part.draw(view, 50, 70, np.random.default_rng(3)) for part in (colour, colour, grey)]
        assert draws[0] == draws[1] == draws[2]
    assert colour.draw(colour.views[0], 50, 70, np.random.default_rng(4)) != draws[0]


def test_an_option_moves_no_other_choice() -> None:
    plain = MultiCrop(channels=3)
    other = MultiCrop(channels=3, jitter=0.0, blur=(0.0, 0.0, 0.0), noise=0.3, rotation=20, brightness=0.0)
    view = plain.views[0]
    for seed in range(20):
        a, b = (part.draw(view, 90, 80, np.random.default_rng(seed)) for part in (plain, other))
        changed = {key for key in a if a[key] != b[key]}
        assert changed <= {"jitter", "brightness", "blur_radius", "rotation"}


def test_views_and_who_sees_them() -> None:
    views = MultiCrop(channels=3, global_crops=3, local_crops=2, global_size=20, local_size=10).views
    assert [(view.id, view.size, view.student, view.teacher) for view in views] == [
        ("global0", 20, True, True), ("global1", 20, True, True), ("global2", 20, True, True),
        ("local0", 10, True, False), ("local1", 10, True, False),
    ]  # fmt: skip
    assert [view.id for view in MultiCrop(channels=3, local_crops=0).views] == ["global0", "global1"]


def test_how_often_each_view_is_distorted() -> None:
    augmenter, runs = MultiCrop(channels=3, global_crops=3, local_crops=1), 4000
    expected = {"global0": (1.0, 0.0), "global1": (0.1, 0.2), "global2": (0.1, 0.2), "local0": (0.5, 0.0)}
    for row, view in enumerate(augmenter.views):
        generator = np.random.default_rng(row)
        draws = [augmenter.draw(view, 250, 240, generator) for _ in range(runs)]

        def share(key: str, draws: list[Any] = draws) -> float:
            return sum(bool(draw[key]) for draw in draws) / runs

        blur, solarize = expected[view.id]
        found = [share(key) for key in ("flip", "jitter", "gray", "blur_radius", "solarize")]
        assert found == pytest.approx([0.5, 0.8, 0.2, blur, solarize], abs=0.03)
        for key, low, high in (("brightness", 0.6, 1.4), ("contrast", 0.6, 1.4), ("saturation", 0.8, 1.2),
                               ("hue", -0.1, 0.1)):  # fmt: skip
            values = [draw[key] for draw in draws]
            assert low <= min(values) < low + 0.01 < high - 0.01 < max(values) <= high
        assert len({tuple(draw["order"]) for draw in draws}) == 24
        radii = [draw["blur_radius"] for draw in draws if draw["blur_radius"]]
        assert all(0.1 <= radius <= 2.0 for radius in radii)
        area = [draw["box"][2] * draw["box"][3] / 60000 for draw in draws]
        low, high = (0.05, 0.4) if view.id.startswith("local") else (0.4, 1.0)
        # rounded sides: a box may be a little out of its range
        assert low * 0.98 <= min(area) < low * 1.1
        assert high * 0.9 < max(area) <= high * 1.02


@pytest.mark.parametrize(("width", "height"), [(300, 200), (40, 300)])
def test_boxes_are_distributed_as_torchvision_draws_them(width: int, height: int) -> None:
    generator, scale, ratio = np.random.default_rng(0), (0.1, 1.0), (3 / 4, 4 / 3)
    ours = np.array(
        [random_box(width, height, scale, ratio, iter(generator.random(40).tolist())) for _ in range(6000)], float
    )
    torch.manual_seed(0)
    blank = torch.zeros(1, height, width)
    theirs = np.array([RandomResizedCrop.get_params(blank, list(scale), list(ratio)) for _ in range(6000)], float)
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.03 * max(width, height))
    np.testing.assert_allclose(ours.std(0), theirs.std(0), atol=0.03 * max(width, height))


@pytest.mark.parametrize(("width", "height"), [(7, 300), (300, 7), (20, 20), (31, 20)])
def test_where_no_try_fits_the_box_is_torchvisions_central_one(width: int, height: int) -> None:
    # a share of the area above 1 fits nowhere; no recipe can ask for it
    expected = RandomResizedCrop.get_params(torch.zeros(1, height, width), [9.0, 9.5], [3 / 4, 4 / 3])
    assert random_box(width, height, (9.0, 9.5), (3 / 4, 4 / 3), iter([0.5] * 40)) == list(expected)


@given(
    width=st.integers(1, 5000), height=st.integers(1, 5000), seed=st.integers(0, 2**32),
    low=st.floats(1e-4, 1), high=st.floats(1e-4, 1), narrow=st.floats(0.05, 20), wide=st.floats(0.05, 20),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_boxes_lie_in_the_image(
    width: int, height: int, seed: int, low: float, high: float, narrow: float, wide: float
) -> None:
    numbers = iter(np.random.default_rng(seed).random(40).tolist())
    box = random_box(width, height, (min(low, high), max(low, high)), (min(narrow, wide), max(narrow, wide)), numbers)
    top, left, h, w = box
    assert all(isinstance(side, int) for side in box)
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    assert min(h, w) >= 1


def test_numbers_just_below_one_stay_in_the_image() -> None:
    numbers = iter([math.nextafter(1, 0)] * 53)

    class Greatest:
        def random(self, count: int) -> np.ndarray:
            return np.array([next(numbers) for _ in range(count)])

    augmenter = MultiCrop(channels=3, global_size=8, noise=0.1)
    draws = augmenter.draw(augmenter.views[0], 33, 21, Greatest())  # type: ignore[arg-type]
    assert sorted(draws["order"]) == [0, 1, 2, 3]
    assert augmenter.render(photo(33, 21), augmenter.views[0], draws).shape == (3, 8, 8)


def test_jitter_follows_the_order_drawn() -> None:
    augmenter = MultiCrop(channels=3, **(PLAIN | {"global_size": 40, "jitter": 1.0, "hue": 0.1}))
    view, image = augmenter.views[0], photo(40, 40)
    draws = dict(augmenter.draw(view, 40, 40, np.random.default_rng(0)))
    names = {"brightness": tv.adjust_brightness, "contrast": tv.adjust_contrast,
             "saturation": tv.adjust_saturation, "hue": tv.adjust_hue}  # fmt: skip
    results = set()
    for order in itertools.permutations(range(4)):
        expected = image
        for place in order:
            name = list(names)[place]
            expected = names[name](expected, draws[name])
        found = augmenter.render(image, view, draws | {"order": list(order)})
        np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(expected))
        results.add(found.numpy().tobytes())
    assert len(results) > 1


def test_with_everything_off_a_view_is_the_resized_image() -> None:
    for mode, channels in (("RGB", 3), ("L", 1)):
        image = photo(30, 30, mode)
        augmenter = MultiCrop(channels=channels, global_size=24, **PLAIN)
        draws = augmenter.draw(augmenter.views[0], 30, 30, np.random.default_rng(0))
        expected = np.asarray(image.resize((24, 24), Image.Resampling.BICUBIC)).reshape(24, 24, channels)
        np.testing.assert_array_equal(augmenter.render(image, augmenter.views[0], draws).permute(1, 2, 0), expected)


def test_interpolation_is_taken_from_the_option() -> None:
    image = photo(30, 30)
    augmenter = MultiCrop(channels=3, global_size=24, interpolation="bilinear", **PLAIN)
    draws = augmenter.draw(augmenter.views[0], 30, 30, np.random.default_rng(0))
    expected = np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(augmenter.render(image, augmenter.views[0], draws).permute(1, 2, 0), expected)


def test_grey_images_ignore_colour_operations_and_keep_the_others() -> None:
    augmenter = MultiCrop(channels=1, **(PLAIN | {"global_size": 32}))
    strong = MultiCrop(channels=1, **(PLAIN | {"global_size": 32, "jitter": 1.0, "grayscale": 1.0, "brightness": 0.0,
                                               "contrast": 0.0, "saturation": 0.9, "hue": 0.5}))  # fmt: skip
    bright = MultiCrop(channels=1, **(PLAIN | {"global_size": 32, "jitter": 1.0, "contrast": 0.0}))
    image, view = photo(32, 32, "L"), augmenter.views[0]
    plain, coloured, brightened = (
        part.render(image, view, part.draw(view, 32, 32, np.random.default_rng(1)))
        for part in (augmenter, strong, bright)
    )
    assert plain.shape == (1, 32, 32)
    assert torch.equal(plain, coloured)
    assert not torch.equal(plain, brightened)


def test_rotation_turns_the_image_before_the_crop() -> None:
    augmenter = MultiCrop(channels=3, global_size=30, rotation=90, **PLAIN)
    image, view = photo(30, 30), augmenter.views[0]
    draws = dict(augmenter.draw(view, 30, 30, np.random.default_rng(0)))
    turned = augmenter.render(image, view, draws | {"rotation": 90.0})
    np.testing.assert_array_equal(turned.permute(1, 2, 0), np.rot90(np.asarray(image)))
    degrees = [augmenter.draw(view, 30, 30, np.random.default_rng(seed))["rotation"] for seed in range(500)]
    assert -90 <= min(degrees) < -80
    assert 80 < max(degrees) <= 90


def test_noise_has_its_standard_deviation_and_is_a_function_of_its_seed() -> None:
    augmenter = MultiCrop(channels=3, global_size=64, noise=0.05, **PLAIN)
    image, view = Image.new("RGB", (64, 64), (128, 128, 128)), augmenter.views[0]
    draws = [augmenter.draw(view, 64, 64, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    first, again, other = (augmenter.render(image, view, draw) for draw in draws)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    difference = first.double() - 128
    assert difference.std().item() == pytest.approx(0.05 * 255, rel=0.05)
    assert abs(difference.mean().item()) < 0.5
    white = augmenter.render(Image.new("RGB", (64, 64), (255, 255, 255)), view, draws[0])
    assert white.min() > 180  # clipped, not wrapped round


def test_an_image_smaller_than_the_crop_is_enlarged() -> None:
    augmenter = MultiCrop(channels=3, global_size=64, local_size=32)
    for view, image in itertools.product(augmenter.views[:3], (photo(1, 1), photo(8, 8), photo(500, 1))):
        draws = augmenter.draw(view, *image.size, np.random.default_rng(0))
        assert augmenter.render(image, view, draws).shape == (3, view.size, view.size)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 4}, "preprocess.channels is 4"),
        ({"channels": 0}, "preprocess.channels is 0"),
        ({"global_crops": -1}, "global_crops is -1"),
        ({"global_crops": 0, "local_crops": 0}, "at least one crop"),
        ({"global_size": 0}, "global_size is 0"),
        ({"local_size": -3}, "local_size is -3"),
        ({"global_scale": (0.9, 0.4)}, "global_scale is [0.9, 0.4]"),
        ({"global_scale": (0.4, 1.2)}, "at most 1"),
        ({"local_scale": (0.0, 0.4)}, "local_scale"),
        ({"local_scale": (math.nan, 0.4)}, "local_scale"),
        ({"ratio": (0.0, 1.0)}, "ratio"),
        ({"ratio": (1.0, math.inf)}, "ratio"),
        ({"flip": 1.5}, "flip is 1.5: it must be from 0 to 1"),
        ({"jitter": -0.1}, "jitter"),
        ({"brightness": -1.0}, "brightness is -1.0: it must be 0 or more"),
        ({"contrast": math.nan}, "contrast"),
        ({"saturation": math.inf}, "saturation"),
        ({"hue": 0.6}, "hue is 0.6: it must be from 0 to 0.5"),
        ({"grayscale": 2.0}, "grayscale"),
        ({"blur": (0.5, 2.0, 0.1)}, "blur is [0.5, 2.0, 0.1]"),
        ({"blur_radius": (2.0, 0.1)}, "blur_radius"),
        ({"solarize": (0.0, -0.2, 0.0)}, "solarize"),
        ({"solarize_threshold": 300}, "solarize_threshold"),
        ({"rotation": -5.0}, "rotation"),
        ({"noise": math.nan}, "noise"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        MultiCrop(**({"channels": 3} | options))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
