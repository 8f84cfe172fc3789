"""How many dimensions the features use: a look at collapse that needs no labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional as F

from sslkit.errors import RunError, UserError
from sslkit.parts import Dataset, Evaluator, Frozen, Images, Metrics, generator


class Some(Images):
    """A part of a split.

    Args:
        images: the split.
        chosen: indices of the part.
    """

    def __init__(self, images: Images, chosen: Sequence[int]) -> None:
        self.images, self.chosen, self.classes = images, list(chosen), images.classes

    def __len__(self) -> int:
        return len(self.chosen)

    def read(self, index: int) -> Image | Tensor:
        """See :class:`sslkit.parts.Images`."""
        return self.images.read(self.chosen[index])

    def label(self, index: int) -> int | None:
        """See :class:`sslkit.parts.Images`."""
        return self.images.label(self.chosen[index])

    def name(self, index: int) -> str:
        """See :class:`sslkit.parts.Images`."""
        return self.images.name(self.chosen[index])


class Spectrum(Evaluator):
    """How many dimensions the features use, and how alike they are; needs no labels. Looks at the test split, or at
    the train split where there is no other.

    Gives

    - ``rankme``: exp of the entropy of the normalised singular values of the features, as they are (Garrido et al.
      2023, equation 1): from 1 (all on a line) to the feature width;
    - ``effective_rank``: exp of the entropy of the normalised eigenvalues of their covariance (centred): dimensions
      that carry variance count by how much of it;
    - ``mean_cosine``: mean cosine similarity of two different images' features; near 1 all are alike;
    - ``relative_std``: standard deviation of L2-normalised features, averaged over the D dimensions, times sqrt(D):
      near 1 for features spread evenly over the sphere, 0 for collapse (Chen and He 2021, figure 2).

    Args:
        max_images: at most so many images, the first of a permutation that depends on the seed.
    """

    def __init__(self, max_images: int = 5000) -> None:
        if max_images < 2:
            raise UserError(f"max_images: {max_images} must be at least 2")
        self.max_images = max_images

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        images = data.split("test") or data.split("train")
        if images is None:
            raise RunError("the data has no images")
        if len(images) > self.max_images:
            order = generator("spectrum", frozen.seed).permutation(len(images))
            images = Some(images, sorted(order[: self.max_images].tolist()))
        x = frozen.features(images).x
        if len(x) < 2:
            raise RunError(f"a spectrum needs two images, and {len(x)} could be read")
        return Metrics(spectrum(x))


def spectrum(x: Tensor) -> dict[str, float]:
    """The four numbers of :class:`Spectrum` for features ``[N, D]``, N at least 2; computed in float64."""
    x = x.double()
    # squared singular values below this are what rounding makes of zeros, and would count as dimensions
    floor = float(x.square().sum()) * 1e-14
    unit = F.normalize(x, dim=1)
    pairs = len(x) * (len(x) - 1)
    return {
        "rankme": _exp_entropy(_gram_eigenvalues(x, floor).sqrt()),
        "effective_rank": _exp_entropy(_gram_eigenvalues(x - x.mean(dim=0), floor)),
        "mean_cosine": float((unit.sum(dim=0).square().sum() - unit.square().sum()) / pairs),
        "relative_std": float(unit.std(dim=0, correction=0).mean() * x.shape[1] ** 0.5),
    }


def _gram_eigenvalues(x: Tensor, floor: float) -> Tensor:
    """The squared singular values of ``[N, D]``, from the smaller of its two Gram matrices."""
    gram = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    values = torch.linalg.eigvalsh(gram)
    return torch.where(values > floor, values, 0.0)


def _exp_entropy(values: Tensor) -> float:
    """exp(-sum p log p) of non-negative numbers p, made to sum to 1; 1 if all are zero."""
    p = values / values.sum().clamp_min(1e-300)
    return float(torch.special.entr(p).sum().exp())
