"""What the reference DINO's evaluators computed with a tiny backbone, against this set's own parts."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.parts import Backbone, Preprocess
from sslkit.testing import Agreement, agreement, backbone_with
from sslkit_evaluators.copy_detection import CopyFeature
from sslkit_evaluators.image_sizes import Square
from sslkit_evaluators.label_propagation import labels_in_full, propagated
from sslkit_evaluators.linear import FrozenFeature
from sslkit_evaluators.linear_head import LinearHead
from sslkit_evaluators.multiscale import SCALES, PooledFeature
from sslkit_evaluators.whitening import learn_whitening, second_moment

Golden = Mapping[str, np.ndarray]

#: The second of these is the reference's slip (0.228 instead of 0.229), in its video evaluation alone.
_USUAL, _VIDEO = Preprocess(), Preprocess(std=(0.228, 0.224, 0.225))


def backbone_rows(golden: Golden) -> list[Agreement]:
    """One row for each quantity that the file has of its backbone."""
    backbone = _backbone(golden)
    rows: list[Agreement] = []
    if "copy/images" in golden:
        rows += _copies(golden, backbone)
    if "multiscale/image" in golden:
        found = PooledFeature(backbone, SCALES)(torch.from_numpy(golden["multiscale/image"]))
        rows.append(agreement("retrieval: feature of three scales", found, golden["multiscale/feature"]))
    if "video/frames" in golden:
        rows += _video(golden, backbone)
    return rows + (_linear(golden, backbone) if "linear/weight" in golden else [])


def _backbone(golden: Golden) -> Backbone:
    weights = {
        key.removeprefix("backbone/"): torch.from_numpy(value)
        for key, value in golden.items()
        if key.startswith("backbone/")
    }
    config = {key: int(golden[f"config/{key}"]) for key in ("patch", "dim", "depth", "heads")}
    patches = weights["pos_embed"].shape[1] - 1
    spec = {
        "name": "vit", "patch_size": config["patch"], "dim": config["dim"], "depth": config["depth"],
        "heads": config["heads"], "drop_path_rate": 0.0,
    }  # fmt: skip
    return backbone_with(spec, {"size": math.isqrt(patches) * config["patch"]}, weights)


def _normalised(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 ``[..., H, W, 3]`` as a backbone's input ``[..., 3, H, W]``."""
    mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
    return ((pixels.float() / 255 - mean) / std).movedim(-1, -3)


def _copies(golden: Golden, backbone: Backbone) -> list[Agreement]:
    resized = Square(int(golden["config/img"]))
    images = [np.asarray(resized(PIL.Image.fromarray(image), 0)) for image in golden["copy/images"]]
    features = CopyFeature(backbone)(_normalised(torch.from_numpy(np.stack(images)), _USUAL))
    dims = int(golden["config/whit_dim"])
    whitened = learn_whitening(features, dims=dims if dims > 0 else None)(features)
    return [
        agreement("copy detection: [CLS] and GeM features", features, golden["copy/features"]),
        agreement(
            "copy detection: covariance for whitening",
            second_moment(features.double()),
            golden["copy/whitening_covariance"],
        ),
        agreement("copy detection: whitened features", whitened @ whitened.T, golden["copy/whitened_gram"]),
    ]


def _video(golden: Golden, backbone: Backbone) -> list[Agreement]:
    frames = _normalised(torch.from_numpy(golden["video/frames"]), _VIDEO)
    patch, labels = backbone.stride, torch.from_numpy(golden["video/first_labels"])
    features = (backbone(frame[None], patches=True).patches[0].unflatten(0, labels.shape) for frame in frames)
    first = F.one_hot(labels, int(golden["config/ncls"])).permute(2, 0, 1).float()
    config = {key: int(golden[f"config/{key}"]) for key in ("last", "nbr", "topk")}
    rows = []
    for turn, soft in enumerate(
        propagated(features, first, last_frames=config["last"], neighbourhood=config["nbr"], top=config["topk"]),
        start=1,
    ):
        found = labels_in_full(soft, patch)
        rows.append(agreement(f"video: soft masks of frame {turn}", soft, golden[f"video/soft{turn}"]))
        # two classes that are alike but for rounding may change places
        other = (found.numpy() != golden[f"video/labels{turn}"]).mean()
        rows.append(Agreement(f"video: labels of frame {turn}", float(other), 1e-3, "of the pixels, other ones"))
    return rows


def _linear(golden: Golden, backbone: Backbone) -> list[Agreement]:
    image = _normalised(torch.from_numpy(golden["video/frames"][:1]), _VIDEO)
    blocks = FrozenFeature(backbone, blocks=2, average_patches=False)(image)
    mean = FrozenFeature(backbone, blocks=1, average_patches=True)(image)
    head = LinearHead(*(torch.from_numpy(golden[f"linear/{key}"]) for key in ("weight", "bias")))
    return [
        agreement("linear: [CLS] of the last two blocks", blocks, golden["linear/cls_last2"]),
        agreement("linear: [CLS] and mean patch token", mean, golden["linear/cls_and_mean"]),
        agreement("linear: logits", head.logits(mean), golden["linear/logits"]),
    ]
