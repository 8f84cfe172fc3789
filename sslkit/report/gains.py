"""A run's first numbers before and after training, and whether differences are beyond their noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sslkit.evaluation.intervals import Difference, Tally, paired_difference, share_interval
from sslkit.report.words import InWords, unnamed

RAW = "raw_pixels_"
_NETS = ("teacher", "student")


@dataclass(frozen=True)
class Number:
    """A measured number.

    Attributes:
        value: of it; shares in percent.
        tally: which test images were classified correctly, where the evaluator gives that.
    """

    value: float
    tally: Tally | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of a share; None where the answers are not known."""
        return None if self.tally is None else share_interval(self.tally)

    def minus(self, other: Number | None) -> Difference | None:
        """How far it is from another one on the same test images; None where the answers of one are not known."""
        if other is None or self.tally is None or other.tally is None:
            return None
        return paired_difference(self.tally, other.tally)


@dataclass(frozen=True)
class Headline:
    """An evaluator's first number: on raw pixels, with random weights and after training (None: not measured).

    Attributes:
        name: ``net/evaluator/metric``.
        words: the same for people.
    """

    name: str
    words: str
    raw: Number | None
    start: Number | None
    after: Number


def headlines(
    summary: Mapping[str, Any],
    start: Mapping[str, Tally] | None = None,
    after: Mapping[str, Tally] | None = None,
    in_words: InWords = unnamed,
) -> list[Headline]:
    """The headline of each net and evaluator of a summary, in order.

    Args:
        summary: of the run.
        start: which test images were classified correctly before training, by ``net/evaluator/metric``.
        after: the same after training.
        in_words: how metrics are called.
    """
    start, after = start or {}, after or {}
    found: dict[str, Headline] = {}
    for name, value in summary.items():
        net, _, rest = name.partition("/")
        evaluator, _, metric = rest.partition("/")
        owner = f"{net}/{evaluator}"
        if net in _NETS and metric and not metric.startswith(RAW) and owner not in found:
            raw = f"{owner}/{RAW}{metric}"
            found[owner] = Headline(
                name,
                in_words(name),
                _number(summary.get(raw), after.get(raw)),
                _number(summary.get(f"start/{name}"), start.get(name)),
                Number(float(value), after.get(name)),
            )
    nets = {name.partition("/")[0] for name in found}
    return [_with_net(row) for row in found.values()] if len(nets) > 1 else list(found.values())


def _number(value: float | None, tally: Tally | None) -> Number | None:
    return None if value is None else Number(float(value), tally)


def _with_net(row: Headline) -> Headline:
    words = f"{row.name.partition('/')[0]}: {row.words}" if row.words != row.name else row.words
    return Headline(row.name, words, row.raw, row.start, row.after)


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval such as ``46.0 to 54.4``; empty where it is not known."""
    return "" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"


def verdict(gap: Difference) -> str:
    """Whether a difference is beyond its noise."""
    return "beyond noise" if gap.beyond_noise else "within noise"


def meaning(rows: list[Headline]) -> list[str]:
    """Sentences on every top-1: after training against random weights and raw pixels, and teacher against student."""
    rows = [row for row in rows if "top1" in row.name]
    said = []
    for row in rows:
        if row.start is not None:
            said.append(_moved(row.words, row.start, row.after))
        if row.raw is not None:
            said.append(versus(row.words, row.after, "raw pixels", row.raw))
    by_name = {row.name: row for row in rows}
    for name, row in by_name.items():
        net, _, rest = name.partition("/")
        student = by_name.get(f"student/{rest}")
        if net == "teacher" and student is not None:
            said.append(versus(row.words, row.after, "the student", student.after))
    return said


def _moved(words: str, start: Number, after: Number) -> str:
    change = after.value - start.value
    if change == 0:
        return f"{words} stayed at {after.value:.1f}%{_noise(after.minus(start))}"
    verb = "rose" if change > 0 else "fell"
    points = _points(change, after.minus(start))
    return f"{words} {verb} from {start.value:.1f}% to {after.value:.1f}% ({points}){_noise(after.minus(start))}"


def versus(words: str, one: Number, against: str, other: Number) -> str:
    """A sentence on how far a number is from another that was measured on the same test images.

    Args:
        words: what was measured.
        one: the number.
        against: what the other one is of.
        other: that.
    """
    change, gap = one.value - other.value, one.minus(other)
    place = "above" if change > 0 else "below" if change < 0 else "equal to"
    return (
        f"{words} is {place} {against}: {one.value:.1f}% and {other.value:.1f}% ({_points(change, gap)}){_noise(gap)}"
    )


def _points(change: float, gap: Difference | None) -> str:
    points = f"{change:+.1f} points"
    if gap is None:
        return points
    return f"{points}, 95% interval {gap.low:.1f} to {gap.high:.1f}, {gap.images} test images"


def _noise(gap: Difference | None) -> str:
    return "" if gap is None else f": {verdict(gap)}"
