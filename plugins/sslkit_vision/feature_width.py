"""How wide a network's features are."""

from __future__ import annotations

import torch
from torch import nn

from sslkit.errors import UserError


def feature_width(net: nn.Module, arch: str, channels: int, image_size: int) -> int:
    """D of ``[1, D]``, what ``net`` makes of one blank image.

    Asked of the network itself, because architectures disagree on where they write it down.

    Raises:
        UserError: if the network takes no image of this size, or does not give ``[B, D]``.
    """
    was_training = net.training
    try:
        with torch.no_grad():
            features = net.eval()(torch.zeros(1, channels, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"arch {arch!r} takes no images of {channels} x {image_size} x {image_size} (preprocess.size): {error}"
        ) from error
    finally:
        net.train(was_training)
    if not (isinstance(features, torch.Tensor) and features.ndim == 2):
        raise UserError(f"arch {arch!r} gives no feature vector for an image: choose one with pooled features")
    return features.shape[1]
