"""Gives back what a run learned, or what a file of weights holds, as a plain torch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL.Image import Image
from torch import Tensor, nn

from sslkit.data.channels import to_channels
from sslkit.data.preprocess import normalize, preprocess_image
from sslkit.data.reading import as_picture
from sslkit.errors import UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.bands import Bands, Numbers
from sslkit.parts.paths import home_path
from sslkit.parts.preprocess import Preprocess
from sslkit.plugins.manager import load_registry
from sslkit.recipe.overrides import overrides_from
from sslkit.report.judged import judged_file, judged_run

Which = Literal["teacher", "student"]


class FeatureExtractor(nn.Module):
    """A trained backbone: normalised images ``[B, C, H, W]`` in, features ``[B, D]`` out.

    Attributes:
        backbone: the part itself, with patch tokens and attention where it has them.
        preprocess: how images were prepared in the run's evaluations.
        embed_dim: D.
    """

    def __init__(self, backbone: Backbone, preprocess: Preprocess) -> None:
        super().__init__()
        self.backbone = backbone
        self.preprocess = preprocess
        self.embed_dim = backbone.embed_dim

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features ``[B, D]`` of normalised images ``[B, C, H, W]``."""
        features: Tensor = self.backbone(images).cls
        return features

    def transform(self, image: Image | Tensor | Bands | Numbers) -> Tensor:
        """A whole image as the backbone's input ``[C, size, size]``: resized, cropped, normalised.

        Args:
            image: a PIL image, a uint8 tensor ``[C, H, W]``, :class:`sslkit.parts.Bands`, or
                :class:`sslkit.parts.Numbers` of any type.

        Raises:
            ValueError: if its number of channels is not that of ``preprocess``, or its values need a range.
        """
        values = self.preprocess.values
        picture = to_channels(as_picture(image, "transform was given", values), self.preprocess.channels, values)
        return normalize(preprocess_image(picture, self.preprocess), self.preprocess)


def load_backbone(
    run_or_file: str | Path,
    which: Which | None = None,
    *,
    backbone: str | Mapping[str, Any] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    plugins: Sequence[str | Path] | str | Path = (),
) -> FeatureExtractor:
    """A trained backbone, in eval mode on the CPU.

    Args:
        run_or_file: a run folder, one of its checkpoints, a checkpoint's ``weights.safetensors``, or with ``backbone``
            any file of weights: those of the official DINO repository, of timm or of torchvision.
        which: the net; by default the teacher, or the student where there is no teacher that learns.
        backbone: what a file's weights are of, as in a recipe: ``{"name": "vit", "arch": "small"}``.
        preprocess: keys of a recipe's ``preprocess`` for such a file.
        plugins: single-file plugins that are needed.

    Raises:
        UserError: if there is no such run, checkpoint, file or net, or the weights do not fit.
    """
    registry = load_registry(plugins)
    path = home_path(run_or_file)
    if backbone is None:
        if preprocess is not None:
            raise UserError("preprocess goes with backbone and a file of weights: a run has its own")
        found = judged_run(path, which, [], registry)
    else:
        overrides = {"backbone": backbone, **({"preprocess": preprocess} if preprocess is not None else {})}
        found = judged_file(path, which, overrides_from(overrides), registry)
    return FeatureExtractor(found.backbone, found.by.preprocess).eval()
