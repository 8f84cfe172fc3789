"""What a step sees does not depend on workers, ranks or restarts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.data.batch import Batch
from sslkit.data.loading import AugmentedImages, StepSampler, make_loader, permutation
from sslkit.parts import Augmenter, Draws, Images, ViewSpec


class Colours(Images):
    """Plain images whose colour tells their index; some cannot be read."""

    classes = ("even", "odd")

    def __init__(self, length: int, unreadable: tuple[int, ...] = ()) -> None:
        self.length, self.unreadable = length, unreadable

    def __len__(self) -> int:
        return self.length

    def read(self, index: int) -> Image.Image:
        if index in self.unreadable:
            raise OSError("broken on purpose")
        return Image.new("RGB", (8, 8), (index, index, index))

    def label(self, index: int) -> int:
        return index % 2


class Tinted(Augmenter):
    """Two views of two sizes, each with a random offset."""

    views = (ViewSpec("a", 4), ViewSpec("b", 2, teacher=False))

    def draw(self, view: ViewSpec, width: int, height: int, generator: np.random.Generator) -> Draws:
        return {"offset": float(generator.integers(0, 50))}

    def render(self, image: Image.Image, view: ViewSpec, draws: Draws) -> torch.Tensor:
        value = image.getpixel((0, 0))[0] + int(draws["offset"])
        return torch.full((3, view.size, view.size), value, dtype=torch.uint8)


def batches(
    start: int = 0, stop: int = 7, workers: int = 0, rank: int = 0, world: int = 1, unreadable: tuple[int, ...] = ()
) -> list[Batch]:
    images = Colours(10, unreadable)
    sampler = StepSampler(10, 4, seed=3, start_step=start, stop_step=stop, rank=rank, world_size=world)
    views = AugmentedImages(images, Tinted(), 3, seed=3)
    return list(make_loader(views, sampler, workers=workers, timeout=60, pin=False))


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.indices, other.indices) and all(torch.equal(one.pixels[s], other.pixels[s]) for s in (4, 2))


def test_shapes_and_labels() -> None:
    batch = batches(stop=1)[0]
    assert {size: tuple(t.shape) for size, t in batch.pixels.items()} == {4: (1, 4, 3, 4, 4), 2: (1, 4, 3, 2, 2)}
    assert batch.labels is not None
    assert torch.equal(batch.labels, batch.indices % 2)


def test_a_restart_in_the_middle_of_an_epoch_sees_the_same_images_and_crops() -> None:
    whole, rest = batches(), batches(start=3)
    assert all(same(one, other) for one, other in zip(whole[3:], rest, strict=True))


def test_workers_change_nothing() -> None:
    assert all(same(one, other) for one, other in zip(batches(), batches(workers=2), strict=True))


def test_ranks_share_a_batch() -> None:
    whole, first, second = batches(), batches(rank=0, world=2), batches(rank=1, world=2)
    for one, left, right in zip(whole, first, second, strict=True):
        assert torch.equal(one.indices, torch.cat([left.indices, right.indices]))
        assert torch.equal(one.pixels[4], torch.cat([left.pixels[4], right.pixels[4]], dim=1))


def test_epochs_differ_in_order_and_crops_and_show_each_image_once() -> None:
    assert not np.array_equal(permutation(3, 0, 10), permutation(3, 1, 10))
    assert sorted(permutation(3, 5, 10)) == list(range(10))
    first = torch.cat([batch.indices for batch in batches(stop=2)])
    assert len(set(first.tolist())) == 8
    views = AugmentedImages(Colours(10), Tinted(), 3, seed=3)
    offsets = {tuple(int(view[0, 0, 0]) for view in views[epoch, 1].views) for epoch in range(5)}
    assert len(offsets) > 1


def test_an_unreadable_image_is_replaced_by_key_and_listed() -> None:
    found = batches(unreadable=(2, 5))
    again = batches(workers=2, unreadable=(2, 5))
    assert all(same(one, other) for one, other in zip(found, again, strict=True))
    assert {image.index for batch in found for image in batch.bad} == {2, 5}
    assert not any(index in (2, 5) for batch in found for index in batch.indices.tolist())
    assert all("broken on purpose" in image.reason for batch in found for image in batch.bad)


def test_unreadable_data_ends_in_an_empty_batch_and_not_in_a_loop() -> None:
    batch = batches(stop=1, unreadable=tuple(range(10)))[0]
    assert not batch.pixels
    assert batch.bad


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_micro_batches_are_the_batch_in_order(parts: int) -> None:
    batch = batches(stop=1)[0]
    micros = batch.split(parts)
    assert len(micros) == parts
    assert torch.equal(torch.cat([micro.indices for micro in micros]), batch.indices)
    assert torch.equal(torch.cat([micro.pixels[4] for micro in micros], dim=1), batch.pixels[4])
