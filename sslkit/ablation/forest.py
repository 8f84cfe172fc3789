"""Differences to the baseline as a plot of dots and 95% intervals: HTML that stays readable at any width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from sslkit.ablation.curves import style_of
from sslkit.ablation.table import Line, number


def forest(lines: Sequence[Line]) -> str:
    """A row a cell: its name, dot and interval on a common axis, and the numbers; empty without a difference.

    Args:
        lines: of all cells and one metric, the baseline first.
    """
    gaps = [line.gap for line in lines if line.gap is not None]
    if not gaps:
        return ""
    ends = [0.0, *(end for gap in gaps for end in (gap.mean, gap.low, gap.high) if not math.isnan(end))]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    axis = _Axis(min(ends) - margin, max(ends) + margin)
    base = lines[0]
    baseline = f"the baseline <b>{escape(base.name)}</b>, whose mean is {number(base.mean)}"
    title = f"Difference to {baseline}: dots, and their 95% intervals"
    rows = "".join(_row(line, place, axis) for place, line in enumerate(lines) if line.gap is not None)
    scale = (
        f"<li class=scale aria-hidden=true><span></span><span class=track>{axis.label(min(ends))}{axis.label(0.0)}"
        f"{axis.label(max(ends))}</span><span></span></li>"
    )
    return f"<figure class=forest><figcaption>{title}</figcaption><ul>{rows}{scale}</ul></figure>"


class _Axis:
    """Places on the horizontal axis, in percent of its width."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def at(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def label(self, value: float) -> str:
        """A number below the axis; not where it would lie on the zero's."""
        if value and abs(self.at(value) - self.at(0.0)) < 12:
            return ""
        return f'<i style="left:{self.at(value):.2f}%">{value:+.1f}</i>' if value else _zero_label(self.at(0.0))


def _zero_label(place: float) -> str:
    return f'<i style="left:{place:.2f}%">0</i>'


def _row(line: Line, place: int, axis: _Axis) -> str:
    gap = line.gap
    assert gap is not None
    colour = style_of(place)[0]
    marks = f'<i class=zero style="left:{axis.at(0.0):.2f}%"></i>'
    told = f"{gap.mean:+.2f}"
    if not math.isnan(gap.low):
        left, width = axis.at(gap.low), axis.at(gap.high) - axis.at(gap.low)
        marks += f'<i class=bar style="left:{left:.2f}%;width:{width:.2f}%;background:{colour}"></i>'
        told += f" ({number(gap.low)} to {number(gap.high)})" + ("" if gap.separated else " ~")
    marks += f'<i class=dot style="left:{axis.at(gap.mean):.2f}%;background:{colour}"></i>'
    name = f"<span class=name>{escape(line.name)}</span>"
    return f"<li>{name}<span class=track>{marks}</span><span class=told>{told}</span></li>"
