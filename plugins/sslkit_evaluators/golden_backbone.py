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
from sslkit.testing import Agreement, Sheet, backbone_with
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


def compare_backbone(sheet: Sheet) -> None:
    """Compare every quantity that the file has inputs for, computed with its backbone."""
    golden = sheet.golden
    backbone = _backbone(golden)
    if "copy/images" in golden:
        _copies(sheet, backbone)
    if "multiscale/image" in golden:
        found = PooledFeature(backbone, SCALES)(torch.from_numpy(golden["multiscale/image"]))
        sheet.compare("retrieval: feature of three scales", found, "multiscale/feature")
    if "video/frames" in golden:
        _video(sheet, backbone)
        _linear(sheet, backbone)


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


def _copies(sheet: Sheet, backbone: Backbone) -> None:
    golden = sheet.golden
    resized = Square(int(golden["config/img"]))
    images = [np.asarray(resized(PIL.Image.fromarray(image), 0)) for image in golden["copy/images"]]
    features = CopyFeature(backbone)(_normalised(torch.from_numpy(np.stack(images)), _USUAL))
    sheet.compare("copy detection: [CLS] and GeM features", features, "copy/features")
    moment = second_moment(features.double())
    sheet.compare("copy detection: covariance for whitening", moment, "copy/whitening_covariance")
    dims = int(golden.get("config/whit_dim", np.array(0)))
    whitened = learn_whitening(features, dims=dims if dims > 0 else None)(features)
    sheet.compare("copy detection: whitened features", whitened @ whitened.T, "copy/whitened_gram")


def _video(sheet: Sheet, backbone: Backbone) -> None:
    golden = sheet.golden
    if "video/first_labels" not in golden:
        sheet.left_out.append("video: soft masks and labels of every frame")
        return
    frames = _normalised(torch.from_numpy(golden["video/frames"]), _VIDEO)
    patch, labels = backbone.stride, torch.from_numpy(golden["video/first_labels"])
    features = (backbone(frame[None], patches=True).patches[0].unflatten(0, labels.shape) for frame in frames)
    first = F.one_hot(labels, int(golden["config/ncls"])).permute(2, 0, 1).float()
    config = {key: int(golden[f"config/{key}"]) for key in ("last", "nbr", "topk")}
    for turn, soft in enumerate(
        propagated(features, first, last_frames=config["last"], neighbourhood=config["nbr"], top=config["topk"]),
        start=1,
    ):
        found = labels_in_full(soft, patch)
        sheet.compare(f"video: soft masks of frame {turn}", soft, f"video/soft{turn}")
        quantity, right = f"video: labels of frame {turn}", golden.get(f"video/labels{turn}")
        if right is None:
            sheet.left_out.append(quantity)
            continue
        # two classes that are alike but for rounding may change places
        other = (found.numpy() != right).mean()
        sheet.rows.append(Agreement(quantity, float(other), 1e-3, "of the pixels, other ones"))


def _linear(sheet: Sheet, backbone: Backbone) -> None:
    golden = sheet.golden
    image = _normalised(torch.from_numpy(golden["video/frames"][:1]), _VIDEO)
    blocks = FrozenFeature(backbone, blocks=2, average_patches=False)(image)
    mean = FrozenFeature(backbone, blocks=1, average_patches=True)(image)
    sheet.compare("linear: [CLS] of the last two blocks", blocks, "linear/cls_last2")
    sheet.compare("linear: [CLS] and mean patch token", mean, "linear/cls_and_mean")
    if "linear/weight" not in golden:
        sheet.left_out.append("linear: logits")
        return
    head = LinearHead(*(torch.from_numpy(golden[f"linear/{key}"]) for key in ("weight", "bias")))
    sheet.compare("linear: logits", head.logits(mean), "linear/logits")
