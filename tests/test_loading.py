"""What a step sees does not depend on workers, ranks or restarts."""

from __future__ import annotations

import logging
import multiprocessing
import time

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.data.batch import Batch
from sslkit.data.enlarged import EnlargedImages
from sslkit.data.loading import AugmentedImages, StepSampler, default_workers, loaded, make_loader, permutation
from sslkit.data.shared import LoaderFailed
from sslkit.errors import RunError
from sslkit.parts import Augmenter, Draws, Images, ViewSpec
from sslkit_vision.digits import Digits
from sslkit_vision.multicrop import MultiCrop


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


def test_a_replacement_has_views_of_its_own_and_ordinary_images_keep_theirs() -> None:
    whole, views = AugmentedImages(Colours(10), Tinted(), 3, seed=3), {}
    for broken in range(10):
        replaced = AugmentedImages(Colours(10, (broken,)), Tinted(), 3, seed=3)[2, broken]
        views[broken] = [int(view[0, 0, 0]) - replaced.index for view in replaced.views]
        assert views[broken] != [int(view[0, 0, 0]) - replaced.index for view in whole[2, replaced.index].views]
    assert len({tuple(offsets) for offsets in views.values()}) > 5
    # what the key ("view", seed, epoch, index, row) draws
    assert [int(view[0, 0, 0]) - 4 for view in whole[2, 4].views] == [13, 31]


class SomeLabels(Colours):
    """No label for image 7."""

    def label(self, index: int) -> int | None:  # type: ignore[override]
        return None if index == 7 else index % 2


def test_labels_for_some_images_only_are_an_error_that_names_the_image() -> None:
    views = AugmentedImages(SomeLabels(10), Tinted(), 3, seed=3)
    with pytest.raises(RunError, match=r"no label for image 7\b"):
        list(make_loader(views, StepSampler(10, 10, 3, 0, 1), workers=0, timeout=60, pin=False))


@pytest.mark.parametrize(("cores", "ranks", "workers"), [(16, None, 8), (16, 2, 7), (16, 4, 3), (4, 4, 0), (2, 8, 0)])
def test_ranks_of_one_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int | None, workers: int
) -> None:
    monkeypatch.setattr("sslkit.data.loading.os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr("sslkit.data.loading.os.cpu_count", lambda: cores)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if ranks is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert default_workers() == workers


class Broken(Tinted):
    """Fails on one image."""

    def render(self, image: Image.Image, view: ViewSpec, draws: Draws) -> torch.Tensor:
        if image.getpixel((0, 0))[0] == 7:
            raise KeyError("oops")
        return super().render(image, view, draws)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failing_part_is_one_sentence_from_any_process(workers: int) -> None:
    views = AugmentedImages(Colours(10), Broken(), 3, seed=3)
    loader = make_loader(views, StepSampler(10, 10, 3, 0, 1), workers=workers, timeout=60, pin=False)
    (batch,) = loader
    assert batch.failure == "the data set or the augmenter failed on image 7: KeyError: 'oops'"
    assert not batch.pixels


class Growing(Colours):
    """Images of 1, 2, ... pixels a side: the first three are smaller than the larger view."""

    def read(self, index: int) -> Image.Image:
        return Image.new("RGB", (index + 1, 20))


@pytest.mark.parametrize("workers", [0, 1])
def test_images_smaller_than_the_largest_view_are_counted(workers: int) -> None:
    views = AugmentedImages(Growing(10), Tinted(), 3, seed=3)
    loader = make_loader(views, StepSampler(10, 5, 3, 0, 4), workers=workers, timeout=60, pin=False)
    for batch in loader:
        assert batch.enlarged == int((batch.indices < 3).sum())
    assert [batch.enlarged for batch in batches(stop=1)] == [0]


@pytest.mark.parametrize(("noted", "level"), [
    ([(4, 4), (4, 4), (1, 4)], "INFO"), ([(1, 4), (4, 4)], "WARNING"), ([(0, 4), (4, 4), (2, 4)], "WARNING"),
    ([(0, 4), (0, 4)], None),
])  # fmt: skip
def test_enlarged_images_are_told_of_once(
    caplog: pytest.LogCaptureFixture, noted: list[tuple[int, int]], level: str | None
) -> None:
    enlarged = EnlargedImages(16)
    with caplog.at_level(logging.INFO, logger="sslkit"):
        flushed = []
        for count, size in noted:
            enlarged.note(count, size)
            flushed.append(enlarged.flush())
    assert flushed == [count for count, _ in noted]
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    assert all("16 pixels" in record.getMessage() for record in caplog.records)


def test_spawned_workers_give_the_same_batches() -> None:
    images = Digits().split("train")
    views = AugmentedImages(images, MultiCrop(1, local_crops=1, global_size=16, local_size=8), 1, seed=0)
    here, spawned = (
        make_loader(views, StepSampler(len(images), 8, 0, 0, 2), workers=workers, timeout=60, pin=False)
        for workers in (0, 1)
    )
    # the start method of macOS
    spawned.multiprocessing_context = "spawn"
    for one, other in zip(here, spawned, strict=True):
        assert torch.equal(one.indices, other.indices)
        assert all(torch.equal(one.pixels[size], other.pixels[size]) for size in (16, 8))
        assert one.enlarged == other.enlarged == 8


class Hanging(Colours):
    """Reading never ends."""

    def read(self, index: int) -> Image.Image:
        time.sleep(600)
        raise AssertionError


def test_workers_that_hang_are_an_error_and_gone_afterwards() -> None:
    sampler = StepSampler(10, 4, seed=3, start_step=0, stop_step=3)
    views = AugmentedImages(Hanging(10), Tinted(), 3, seed=3)
    with pytest.raises(LoaderFailed, match="timed out"):
        list(loaded(make_loader(views, sampler, workers=1, timeout=0.5, pin=False)))
    for child in multiprocessing.active_children():
        child.join(5)
    assert not multiprocessing.active_children()
