"""k-nearest-neighbour classification with frozen features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import Answers, Backbone, Dataset, Evaluator, Features, Fill, Frozen, Images, Metrics, Preprocess
from sslkit_evaluators.knn_vote import knn_right, percent
from sslkit_evaluators.query_transform import QueryTransform
from sslkit_evaluators.random_crop import check_scale

#: Raw pixels beyond this many bytes of features are refused: they are a yardstick for small images.
_MOST_PIXEL_BYTES = 8 * 2**30


class KNN(Evaluator):
    """Weighted k-nearest-neighbour vote of the train split's features (Wu et al. 2018), as the reference DINO's
    eval_knn.py does it: cosine similarity, weights exp(similarity / temperature), accuracy on the test split.

    Gives ``kK_top1`` and ``kK_top5`` in percent for every k. Memory beside the features: about 8 x chunk x train
    images bytes.

    With ``query_scale`` or ``query_degrees`` the test images are cropped and rotated at random while the train images
    stay as they are: then the numbers tell how invariant the features are. Name such an entry for what it is, as
    in ``knn_transformed: {name: knn, query_scale: [0.5, 1], query_degrees: 25}``.

    Args:
        k: numbers of neighbours; all come from one pass, the largest costs.
        temperature: of the weights.
        chunk: test images at a time.
        bf16: find candidates in bf16 and rank them in float32: for GPUs and processors that multiply bf16 fast. Train
            images whose similarities differ by less than about 0.004 may change places.
        raw_pixels: also judge the preprocessed pixels themselves as features (``raw_pixels_kK_top1``): what any
            backbone has to beat on small images.
        query_scale: test images are cropped to this share of their area, least and largest; null: not.
        query_degrees: test images are rotated by up to this, either way.
        query_repeats: transformed copies of every test image.
        query_fill: what the corners of rotated test images show: ``black``, as the background of a scan; ``edge``: the
            outermost pixels, continued; ``mean``: the mean colour of the image.
    """

    needs = frozenset({"labels", "test"})

    def __init__(
        self,
        k: tuple[int, ...] = (10, 20, 100, 200),
        temperature: float = 0.07,
        chunk: int = 1024,
        bf16: bool = False,
        raw_pixels: bool = False,
        query_scale: tuple[float, float] | None = None,
        query_degrees: float = 0.0,
        query_repeats: int = 1,
        query_fill: Fill = "black",
    ) -> None:
        if not k or min(k) < 1:
            raise UserError(f"k: {list(k)} must be one or more numbers of neighbours, each at least 1")
        if not temperature > 0:
            raise UserError(f"temperature: {temperature} must be more than 0")
        if chunk < 1:
            raise UserError(f"chunk: {chunk} must be at least 1")
        if query_scale is not None and not check_scale(query_scale):
            raise UserError(
                f"query_scale: {list(query_scale)} must be two shares of the area, 0 < least <= largest <= 1"
            )
        if not 0 <= query_degrees <= 180:
            raise UserError(f"query_degrees: {query_degrees} must be from 0 to 180")
        if query_repeats < 1:
            raise UserError(f"query_repeats: {query_repeats} must be at least 1")
        if query_repeats > 1 and query_scale is None and not query_degrees:
            raise UserError("query_repeats needs query_scale or query_degrees: without them all copies are the same")
        self.k, self.temperature, self.chunk, self.bf16 = k, temperature, chunk, bf16
        self.raw_pixels = raw_pixels
        self.query_scale, self.query_degrees, self.query_repeats = query_scale, query_degrees, query_repeats
        self.query_fill = query_fill

    @classmethod
    def in_words(cls, metric: str) -> str:
        """See :class:`sslkit.parts.Evaluator`."""
        k, _, top = metric.partition("_top")
        return f"k-NN top-{top} (k = {k.removeprefix('k')})"

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        train, test = data.split("train"), data.split("test")
        if train is None or test is None:
            return
        self._check_bank(len(train))
        needed = (len(train) + len(test)) * preprocess.channels * preprocess.size**2 * 4
        if self.raw_pixels and needed > _MOST_PIXEL_BYTES:
            raise UserError(
                f"raw_pixels needs {needed / 2**30:.0f} GiB for these images and is meant for small ones, "
                f"at most {_MOST_PIXEL_BYTES / 2**30:.0f} GiB: set it to false"
            )

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        train, test = data.split("train"), data.split("test")
        if train is None or test is None:
            raise RunError("k-NN needs a train and a test split")
        values, answers = self._judge(frozen, train, test, None, "")
        if self.raw_pixels:
            of_pixels, answers_of_pixels = self._judge(frozen, train, test, _pixels, "raw_pixels_")
            values, answers = values | of_pixels, answers | answers_of_pixels
        return Metrics(values, answers=answers)

    def _judge(
        self, frozen: Frozen, train: Images, test: Images, extract: Callable[[Tensor], Tensor] | None, prefix: str
    ) -> tuple[dict[str, float], dict[str, Answers]]:
        bank = frozen.features(train, extract=extract)
        self._check_bank(len(bank.x))
        rounds: dict[str, list[Answers]] = {}
        for transform in self._transforms(frozen):
            queries = frozen.features(test, transform=transform, extract=extract)
            images = queries.indices.cpu()
            for k, both in self._right(bank, queries).items():
                for top, right in zip((1, 5), both, strict=True):
                    rounds.setdefault(f"{prefix}k{k}_top{top}", []).append(Answers(images, right))
        values = {name: sum(percent(one.right) for one in of) / self.query_repeats for name, of in rounds.items()}
        return values, {name: Answers.joined(of) for name, of in rounds.items()}

    def _check_bank(self, images: int) -> None:
        if max(self.k) > images:
            raise UserError(
                f"k: {max(self.k)} neighbours are more than the {images} train images that can be read: "
                f"use at most {images}"
            )

    def _right(self, bank: Features, queries: Features) -> dict[int, tuple[Tensor, Tensor]]:
        if not len(queries.x) or bank.labels is None or queries.labels is None:
            raise RunError("no labelled test image could be read")
        return knn_right(
            bank.x,
            bank.labels,
            queries.x,
            queries.labels,
            ks=self.k,
            temperature=self.temperature,
            chunk=self.chunk,
            bf16=self.bf16,
        )

    def _transforms(self, frozen: Frozen) -> list[QueryTransform | None]:
        if self.query_scale is None and not self.query_degrees:
            return [None]
        short = frozen.preprocess.resize or frozen.preprocess.size
        return [
            QueryTransform(self.query_scale, self.query_degrees, short, frozen.seed, repeat, self.query_fill)
            for repeat in range(self.query_repeats)
        ]


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1)
