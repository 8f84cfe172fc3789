"""Says in words when what is learned collapses."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor

import sslkit
from sslkit.errors import UserError
from sslkit.parts import Outputs, Position, Watcher
from sslkit_vision.collapse_signs import Limits, Reading, look, readings

log = logging.getLogger("sslkit")


class Kind(NamedTuple):
    """What is said of one kind of collapse.

    Attributes:
        began: what is so since some step.
        ended: what is no longer so.
        means: what it does to the run.
        helps: remedies, the likeliest first.
    """

    began: str
    ended: str
    means: str
    helps: tuple[str, ...]


#: The gravest first; where each remedy comes from stands in docs/collapse.md.
KINDS: dict[str, Kind] = {
    "uniform": Kind(
        "the teacher's output has been uniform",
        "the teacher's output is no longer uniform",
        "the loss stays at log K and nothing is learned",
        (
            "a teacher temperature of 0.04 or less (loss.teacher_temp), or a warm-up from there to a higher one",
            "BatchNorm in the head (head.use_bn: true), for a small ViT together with backbone.stem: conv",
            "a teacher that moves slowly (teacher: ema)",
            "a lower learning rate with a longer warm-up",
        ),
    ),
    "one_dimension": Kind(
        "the teacher has picked the same one dimension for every image",
        "the teacher no longer picks one dimension for every image",
        "the student agrees and nothing is learned",
        (
            "centering that keeps up (loss.center_momentum: 0.9; 0.999 is too slow, and 1 switches it off)",
            "a teacher temperature that is not too sharp (loss.teacher_temp: 0.04)",
            "a teacher that moves slowly (teacher: ema)",
            "a lower learning rate with a longer warm-up",
        ),
    ),
    "constant": Kind(
        "the student's {of} have been the same for every image",
        "the student's {of} differ between images again",
        "nothing is learned",
        (
            "what keeps the method from it: a predictor on the student alone (predictor), or a loss that pushes "
            "images apart",
            "a teacher that moves slowly (teacher: ema)",
            "BatchNorm in the head (head.use_bn: true), for a small ViT together with backbone.stem: conv",
            "a lower learning rate with a longer warm-up",
        ),
    ),
    "low_rank": Kind(
        "the student's {of} have varied along hardly more than one direction",
        "the student's {of} vary along several directions again",
        "most of their width is not used",
        (
            "a loss that pushes images or dimensions apart: negatives, or a penalty on covariance",
            "a teacher that moves slowly (teacher: ema)",
            "a projection head with hidden layers between features and loss (head)",
            "weaker augmentation",
        ),
    ),
}
_GRAVITY = list(KINDS)


@dataclass
class Mark:
    """How long a kind of collapse has shown.

    Attributes:
        since: the step of the first look of the row that shows it.
        shown: looks that showed it since then.
        gone: looks in a row that do not show it any more, after it was told.
        told: whether it was told.
    """

    since: int = 0
    shown: int = 0
    gone: int = 0
    told: bool = False


class CollapseMonitor(Watcher):
    """Warns in words when what is learned collapses: which kind, since which step, and what usually helps.

    It looks at one step in every ``every``, at the first rank's share of the batch (the last micro-batch, the first
    view), and knows no method. Kinds, the gravest first (docs/collapse.md shows each):

    - ``uniform``: the teacher's entropy is near log K, and the student agrees with it; the loss stays near log K;
    - ``one_dimension``: its entropy is near 0, the student agrees, and its outputs have the same largest entry for
      all images (appendix of Caron et al. 2021, "collapse study", for both);
    - ``constant``: the student's features or projections are the same for all images (Chen and He 2021, figure 2);
    - ``low_rank``: they vary, but along hardly more than one direction (Jing et al. 2022). Told from 9 images on.

    The first two need a loss that logs ``teacher_entropy`` and ``kl``, and a teacher with projections; the others
    need two images. Each state is told once, and only the gravest; a second line tells when it is over. Thresholds lie
    well beyond what healthy runs of the quickstarts reach: a false alarm is worse than a late one.

    Args:
        every: steps between two looks; a look costs one host sync and some milliseconds.
        patience: looks in a row that a state must last before it is told, and be absent before it is over.
        grace: share of the run at whose start nothing is told: many networks begin uniform and leave it.
        max_images: at most so many images of a batch are looked at.
        uniform_above: share of log K above which an entropy is uniform (healthy: 0.47-0.93).
        peaked_below: share of log K below which an entropy is one dimension's.
        kl_below: nats of KL divergence below which the student agrees with the teacher (healthy: 0.3 or more).
        std_below: relative standard deviation below which outputs are constant; 0.03 is a mean cosine of 0.999
            between images (healthy: 0.16 or more).
        rank_below: share of the largest entropy of eigenvalues, log(min(B - 1, D)), below which outputs have a low
            rank; 0.05 is an effective rank of 1.2 for 32 images and of 1.3 for 128 (healthy: 0.11 or more).
    """

    def __init__(
        self,
        every: int = 50,
        patience: int = 4,
        grace: float = 0.1,
        max_images: int = 128,
        uniform_above: float = 0.99,
        peaked_below: float = 0.01,
        kl_below: float = 0.05,
        std_below: float = 0.03,
        rank_below: float = 0.05,
    ) -> None:
        for key, count, least in (("every", every, 1), ("patience", patience, 1), ("max_images", max_images, 2)):
            if count < least:
                raise UserError(f"{key}: {count} must be {least} or more")
        shares = {"grace": grace, "uniform_above": uniform_above, "peaked_below": peaked_below}
        for key, share in {**shares, "std_below": std_below, "rank_below": rank_below}.items():
            if not 0 <= share <= 1:
                raise UserError(f"{key}: {share} must be from 0 to 1")
        if not (math.isfinite(kl_below) and kl_below >= 0):
            raise UserError(f"kl_below: {kl_below} must be 0 nats or more")
        self._every, self._patience, self._grace, self._max_images = every, patience, grace, max_images
        self._limits = Limits(uniform_above, peaked_below, kl_below, std_below, rank_below)
        self._marks: dict[str, Mark] = {}

    @sslkit.hookimpl
    def step_end(self, at: Position, metrics: Mapping[str, Tensor], student: Outputs, teacher: Outputs | None) -> None:
        """Look, if it is time, and tell what has lasted."""
        step = at.step + 1
        if step % self._every != 0:
            return
        seen = look(metrics, student, teacher, self._max_images)
        if seen is None:
            return
        for reading in readings(seen, self._limits):
            mark = self._marks.setdefault(f"{reading.kind} {reading.of}", Mark())
            self._count(mark, reading, step)
            if not mark.told and mark.shown >= self._patience and step > self._grace * at.total:
                self._tell(mark, reading)

    def _count(self, mark: Mark, reading: Reading, step: int) -> None:
        if reading.shows:
            mark.since = mark.since if mark.shown else step
            mark.shown, mark.gone = mark.shown + 1, 0
        elif mark.told and mark.gone + 1 < self._patience:
            mark.gone += 1
        else:
            if mark.told:
                ended = KINDS[reading.kind].ended.format(of=reading.of)
                log.warning("collapse: at step %d %s (%s)", step, ended, reading.evidence)
            mark.since, mark.shown, mark.gone, mark.told = 0, 0, 0, False

    def _tell(self, mark: Mark, reading: Reading) -> None:
        told = [_GRAVITY.index(key.partition(" ")[0]) for key, other in self._marks.items() if other.told]
        if min(told, default=len(_GRAVITY)) <= _GRAVITY.index(reading.kind):
            return
        mark.told = True
        kind = KINDS[reading.kind]
        helps = "; ".join(f"({number}) {remedy}" for number, remedy in enumerate(kind.helps, 1))
        log.warning(
            "collapse: %s since step %d (%s): %s. What usually helps, the likeliest first: %s. See docs/collapse.md",
            kind.began.format(of=reading.of),
            mark.since,
            reading.evidence,
            kind.means,
            helps,
        )

    def state_dict(self) -> dict[str, Any]:
        """Since when each state has shown, by kind and where it is seen."""
        return {"marks": {key: asdict(mark) for key, mark in self._marks.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave: a resumed run goes on counting."""
        self._marks = {key: Mark(**mark) for key, mark in state["marks"].items()}
