"""What fine-tuning sees of its train images: keyed views, mixing and erasing, and the steps of an epoch."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation_parts import Patterns, freeze, tiny_conv
from sslkit.data.preprocess import preprocess_image
from sslkit.parts import Preprocess
from sslkit_evaluators.finetune_augment import Crops, DeiT
from sslkit_evaluators.finetune_batches import TrainBatches, steps_of

RGB = Preprocess(size=14, resize=16)


def test_deit_mixes_and_erases_and_smooths_by_key() -> None:
    augmentation = DeiT(RGB, (0.08, 1.0), 5, 3)
    # labels so that no two partners are alike
    images, labels = torch.full((9, 3, 14, 14), 7.0), torch.tensor([0, 0, 1, 1, 2, 3, 4, 4, 2])
    erased, shares = 0, []
    for step in range(40):
        mixed, targets = augmentation.together(images.clone(), labels, 0, step)
        again, _ = augmentation.together(images.clone(), labels, 0, step)
        assert torch.equal(mixed, again)
        assert len(mixed) == len(targets) == 8
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(8))
        mine = (targets.gather(1, labels[:8, None]) - 0.02)[:, 0] / 0.9
        partner = (targets.gather(1, labels[:8].flip(0)[:, None]) - 0.02)[:, 0] / 0.9
        torch.testing.assert_close(mine + partner, torch.ones(8))
        shares.append(float(mine[0]))
        erased += int((mixed != 7).flatten(1).any(dim=1).sum())
    assert len(set(shares)) > 30
    assert min(shares) < 0.3 < 0.7 < max(shares)
    # each image has its own noise with 0.25, and its partner's with 0.25 (not where the box misses it)
    assert 0.25 < erased / (40 * 8) < 0.45


def test_crops_only_smooth() -> None:
    images = torch.rand(3, 3, 14, 14)
    same, targets = Crops(RGB, (0.08, 1.0), 4, 0).together(images, torch.tensor([1, 3, 0]), 0, 0)
    assert same is images
    torch.testing.assert_close(targets, torch.eye(4)[[1, 3, 0]] * 0.9 + 0.025)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_views_depend_on_seed_epoch_and_index_and_pass_the_preprocessing(mode: str) -> None:
    preprocess = RGB if mode == "RGB" else Preprocess(size=14, resize=16, mean=(0.5,), std=(0.2,), channels=1)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    for kind in (DeiT, Crops):
        view = pickle.loads(pickle.dumps(kind(preprocess, (0.08, 1.0), 4, 0).view(2)))
        seen = [preprocess_image(view(image, index), preprocess).numpy().tobytes() for index in range(40)]
        random.seed(99)
        assert [preprocess_image(view(image, index), preprocess).numpy().tobytes() for index in range(40)] == seen
        assert len(set(seen)) == 40
        for other in (kind(preprocess, (0.08, 1.0), 4, 0).view(3), kind(preprocess, (0.08, 1.0), 4, 1).view(2)):
            assert preprocess_image(other(image, 0), preprocess).numpy().tobytes() != seen[0]
        # the black frame is what the centre crop takes off
        assert view(image, 0).size == (16, 16)
        assert not np.asarray(view(image, 0))[0].any()


def test_an_epoch_is_a_permutation_in_steps() -> None:
    images = Patterns(50, unreadable=(7,))
    assert steps_of(images, 16) == (3, 16)
    assert steps_of(images, 512) == (1, 50)
    with freeze(tiny_conv()) as frozen:
        plain = frozen.features(images, extract=torch.nn.Flatten())
        listed = len(frozen.bad)
        orders, loader = [], TrainBatches(frozen, images, 16)
        for epoch in range(4):
            batches = list(loader.epoch(epoch, lambda image, _index: image))
            x = torch.cat([batch for batch, _ in batches]).flatten(1)
            same = (x[:, None] == plain.x).all(dim=2)
            assert (same.sum(dim=1) == 1).all()
            orders.append(same.int().argmax(dim=1).tolist())
            assert torch.equal(torch.cat([labels for _, labels in batches]), plain.labels[orders[-1]])
            assert 47 <= len(set(orders[-1])) == len(orders[-1]) <= 48
    assert orders[0] != orders[1]
    # once, and not once an epoch
    assert len(frozen.bad) == listed == 1
    assert {bad.name for bad in frozen.bad} == {"pattern-0-7"}
