"""Frozen features: the same rows in the same order however they are computed, and a net that comes back as it was."""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL.Image import Image
from torch import Tensor

from evaluation_parts import GREY, Colours, Patterns, TinyConv, freeze, tiny_conv
from sslkit.data.preprocess import normalize, preprocess_image
from sslkit.data.reading import BadImage, UnreadableImage, read_image
from sslkit.errors import RunError
from sslkit.evaluation.borrow import borrowed
from sslkit.evaluation.chunks import PreprocessedImages, Share
from sslkit.evaluation.frozen import FrozenBackbone
from sslkit.parts import Images, Preprocess, keyed_randomness


@dataclass(frozen=True)
class Darken:
    """Darkens an image by as many levels as its index."""

    def __call__(self, image: Image, index: int) -> Image:
        return image.point(lambda value: max(0, value - index))


def one_by_one(net: TinyConv, images: Images, indices: list[int]) -> Tensor:
    """The features by hand, an image at a time."""
    batch = [normalize(preprocess_image(read_image(images, index, 1), GREY), GREY) for index in indices]
    with borrowed(net), torch.no_grad():
        return torch.stack([net(image[None]).cls[0] for image in batch])


def test_features_are_those_of_single_images_in_order() -> None:
    net, images = tiny_conv(), Patterns(37)
    with freeze(net, batch_size=8) as frozen:
        features = frozen.features(images)
    torch.testing.assert_close(features.x, one_by_one(net, images, list(range(37))))
    assert features.x.dtype == torch.float32
    assert features.indices.tolist() == list(range(37))
    assert features.labels is not None
    assert features.labels.tolist() == [index % 4 for index in range(37)]


def test_workers_change_nothing() -> None:
    images = Patterns(21, unreadable=(4, 20))
    results = []
    for workers in (0, 2):
        with freeze(tiny_conv(), workers=workers, batch_size=8) as frozen:
            results.append((frozen.features(images, transform=Darken()), frozen.bad))
    (first, first_bad), (second, second_bad) = results
    assert torch.equal(first.x, second.x)
    assert first_bad == second_bad
    assert len(first_bad) == 2


def test_what_workers_get_pickles() -> None:
    images = PreprocessedImages(Patterns(3), GREY, Darken())
    index, pixels = pickle.loads(pickle.dumps(images))[2]
    assert index == 2
    assert torch.equal(pixels, images[2][1])


def test_unreadable_images_are_left_out_and_listed_once() -> None:
    net, images = tiny_conv(), Patterns(20, unreadable=(0, 7, 19))
    kept = [index for index in range(20) if index not in images.unreadable]
    with freeze(net, batch_size=8) as frozen:
        features = frozen.features(images)
        frozen.features(images, extract=lambda batch: batch.flatten(1))
    assert features.indices.tolist() == kept
    assert features.labels is not None
    assert features.labels.tolist() == [index % 4 for index in kept]
    torch.testing.assert_close(features.x, one_by_one(net, images, kept))
    assert frozen.bad == [BadImage(index, f"pattern-0-{index}", "the disk is tired") for index in (0, 7, 19)]


@pytest.mark.parametrize("images", [Patterns(0), Patterns(3, unreadable=(0, 1, 2))])
def test_no_images_are_no_rows(images: Images) -> None:
    with freeze(tiny_conv()) as frozen:
        features = frozen.features(images)
    assert features.x.shape == (0, 12)
    assert features.indices.shape == (0,)


def test_transform_sees_the_index_and_extract_the_batch() -> None:
    images = Patterns(5, noise=0.0)
    with freeze(tiny_conv()) as frozen:
        plain = frozen.features(images, extract=lambda batch: batch.flatten(1)).x
        dark = frozen.features(images, transform=Darken(), extract=lambda batch: batch.flatten(1)).x
    assert plain.shape == (5, 64)
    levels = ((plain - dark) * 0.25 * 255).max(dim=1).values
    torch.testing.assert_close(levels, torch.arange(5.0), atol=1e-3, rtol=0)


def test_plain_features_are_computed_once_but_never_handed_out_spoiled() -> None:
    net, images = tiny_conv(), Patterns(9)
    calls: list[int] = []
    net.register_forward_hook(lambda *_: calls.append(1))
    with freeze(net) as frozen:
        first = frozen.features(images)
        assert frozen.features(images) is first
        assert len(calls) == 1
        expected = first.x.clone()
        first.x.mul_(2)
        assert torch.equal(frozen.features(images).x, expected)
        frozen.features(Patterns(9, salt=1))
        assert len(calls) == 3


def test_images_of_all_modes_and_no_labels() -> None:
    preprocess = Preprocess(size=16)
    with freeze(TinyConv(channels=3), preprocess) as frozen:
        features = frozen.features(Colours())
        batch = frozen.batch(Colours(), [4, 0])
        large = frozen.batch(Colours(), [1], size=24)
    assert features.x.shape == (5, 12)
    assert features.labels is None
    assert (batch.shape, large.shape) == ((2, 3, 16, 16), (1, 3, 24, 24))
    expected = normalize(preprocess_image(read_image(Colours(), 4, 3), preprocess), preprocess)
    assert torch.equal(batch[0], expected)


def test_a_batch_with_an_unreadable_image_is_an_os_error() -> None:
    with freeze(tiny_conv()) as frozen:
        with pytest.raises(UnreadableImage, match="pattern-0-1: the disk is tired"):
            frozen.batch(Patterns(3, unreadable=(1,)), [0, 1])
        assert [bad.index for bad in frozen.bad] == [1]


def test_features_that_are_not_finite_stop_the_evaluation() -> None:
    net = tiny_conv()
    torch.nn.init.constant_(net.body[0].bias, float("nan"))
    with (
        freeze(net) as frozen,
        pytest.raises(RunError, match=r"5 of 5 images are not finite; the first is pattern-0-0"),
    ):
        frozen.features(Patterns(5))


def test_labels_of_some_images_only_are_an_error() -> None:
    class Half(Patterns):
        def label(self, index: int) -> int | None:
            return None if index == 3 else 0

    with freeze(tiny_conv()) as frozen, pytest.raises(RunError, match="pattern-0-3 has no label"):
        frozen.features(Half(5))


def test_bf16_is_near_float32_and_comes_out_as_float32() -> None:
    frozen = freeze(tiny_conv())
    with frozen:
        exact = frozen.features(Patterns(9)).x
    frozen._precision = torch.bfloat16
    with frozen:
        rough = frozen.features(Patterns(9)).x
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


def test_a_borrowed_net_comes_back_as_it_was() -> None:
    net = tiny_conv()
    net.train()
    net.body[1].eval()
    net.body[0].bias.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    torch.nn.init.constant_(net.body[0].bias, float("nan"))
    with pytest.raises(RunError), freeze(net) as frozen:
        _use(frozen)
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == [True, False, True, True]
    for name, buffer in net.named_buffers():
        assert torch.equal(buffer, buffers[name])


def _use(frozen: FrozenBackbone) -> None:
    """Fails half-way, as the features are not finite."""
    assert not any(module.training for module in frozen.backbone.modules())
    assert not any(parameter.requires_grad for parameter in frozen.backbone.parameters())
    frozen.features(Patterns(5))


def test_keyed_randomness_is_keyed_and_leaves_the_global_generators_alone() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    inside = []
    for seed in (3, 3, 4):
        with keyed_randomness(torch.device("cpu"), "test", seed):
            inside.append(draws())
    assert draws() == expected
    assert inside[0] == inside[1]
    assert not set(inside[0]) & (set(inside[2]) | set(expected))


@pytest.mark.parametrize("length", [0, 1, 7, 16, 17, 100])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_shares_cover_every_image_once_in_chunks_of_one_rank(length: int, world_size: int) -> None:
    shares = [Share(length, 5, rank, world_size).batches() for rank in range(world_size)]
    joined = [batch for share in shares for batch in share]
    assert joined == Share(length, 5, 0, 1).batches()
    assert [index for batch in joined for index in batch] == list(range(length))
