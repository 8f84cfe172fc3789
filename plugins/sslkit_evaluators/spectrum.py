"""How many dimensions the features use: a look at collapse that needs no labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sslkit.errors import RunError, UserError
from sslkit.parts import Dataset, Evaluator, Frozen, Metrics, generator
from sslkit_evaluators.subset import Some

#: The eigenvalues that the power law is fitted to, by rank from the largest, 1-based: those of alpha-ReQ's authors
#: (github.com/kumarkrishna/fastssl, scripts/train_model.py). The first few are not on the line.
_FITTED = (4, 100)


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
      near 1 for features spread evenly over the sphere, 0 for collapse (Chen and He 2021, figure 2);
    - ``alpha_req``: exponent a of the power law rank ** -a that the covariance's eigenvalues follow (Agrawal et al.
      2022, alpha-ReQ): small for features that use many dimensions evenly, large where a few hold all of the
      variance; in the paper models near 1 generalise best. Fitted to the eigenvalues of rank 4 to 100, or as many
      as are above zero (with fewer than 5 it is not a number); it wants many more images than that.

    Args:
        max_images: at most so many images, the first of a permutation that depends on the seed.
    """

    def __init__(self, max_images: int = 5000) -> None:
        if max_images < 2:
            raise UserError(f"max_images: {max_images} must be at least 2")
        self.max_images = max_images

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        words = {"rankme": "RankMe (dimensions used)", "alpha_req": "alpha-ReQ"}
        return words.get(metric, metric.replace("_", " ") + " of features")

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
    """The numbers of :class:`Spectrum` for features ``[N, D]``, N at least 2; computed in float64."""
    x = x.double()
    # squared singular values below this are what rounding makes of zeros, and would count as dimensions
    floor = float(x.square().sum()) * 1e-14
    unit = F.normalize(x, dim=1)
    pairs = len(x) * (len(x) - 1)
    variances = _gram_eigenvalues(x - x.mean(dim=0), floor)
    return {
        "rankme": _exp_entropy(_gram_eigenvalues(x, floor).sqrt()),
        "effective_rank": _exp_entropy(variances),
        "mean_cosine": float((unit.sum(dim=0).square().sum() - unit.square().sum()) / pairs),
        "relative_std": float(unit.std(dim=0, correction=0).mean() * x.shape[1] ** 0.5),
        "alpha_req": power_law(variances),
    }


def power_law(eigenvalues: Tensor) -> float:
    """The exponent a of eigenvalues that fall as rank ** -a; not a number where there are too few.

    Least squares of log eigenvalue over log rank with weights 1 / rank, which count every octave of ranks alike
    (Stringer et al. 2019, whose fit alpha-ReQ's published code uses).

    Args:
        eigenvalues: ``[D]`` float64 in any order; zeros are left out.
    """
    positive = eigenvalues[eigenvalues > 0].sort(descending=True).values
    first, last = _FITTED[0], min(_FITTED[1], len(positive))
    if last <= first:
        return float("nan")
    ranks = torch.arange(first, last + 1, dtype=torch.float64, device=positive.device)
    x, y, weight = ranks.log(), positive[first - 1 : last].log(), 1 / ranks
    centred = x - (weight * x).sum() / weight.sum()
    return -float((weight * centred * y).sum() / (weight * centred.square()).sum())


def _gram_eigenvalues(x: Tensor, floor: float) -> Tensor:
    """The squared singular values of ``[N, D]``, from the smaller of its two Gram matrices."""
    gram = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    values = torch.linalg.eigvalsh(gram)
    return torch.where(values > floor, values, 0.0)


def _exp_entropy(values: Tensor) -> float:
    """exp(-sum p log p) of non-negative numbers p, made to sum to 1; 1 if all are zero."""
    p = values / values.sum().clamp_min(1e-300)
    return float(torch.special.entr(p).sum().exp())
