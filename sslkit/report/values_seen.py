"""What ``sslkit data check`` says of the values in images' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sslkit.data.look import Look
from sslkit.parts.preprocess import Values

#: Types that are scaled by their whole range, by their largest values; and the share of it that images should reach.
_FULL, _DARK = {f"uint{bits}": 2**bits - 1 for bits in range(9, 17)}, 0.25
#: Types that are read without a range.
_PLAIN = (*(f"uint{bits}" for bits in range(1, 17)), "bool")


def value_ranges(looks: Sequence[Look]) -> dict[str, dict[str, float]]:
    """By type: how many images, and the least and the largest value in any of them."""
    found: dict[str, dict[str, float]] = {}
    for look in looks:
        own = found.setdefault(look.kind, {"images": 0, "least": look.least, "most": look.most})
        own["images"] += 1
        own["least"], own["most"] = min(own["least"], look.least), max(own["most"], look.most)
    return dict(sorted(found.items(), key=lambda entry: -entry[1]["images"]))


def value_lines(ranges: Mapping[str, Mapping[str, float]], transparent: int, given: Values) -> list[str]:
    """The same in sentences, with the option that would help.

    Args:
        ranges: as :func:`value_ranges` gives them.
        transparent: images with pixels that are not opaque.
        given: how values become 8 bits.
    """
    shown = ", ".join(
        f"{kind} {own['least']:g} to {own['most']:g} ({own['images']:g} images)" for kind, own in ranges.items()
    )
    lines = [f"values: {shown}"] if ranges else []
    for kind, own in ranges.items() if given.value_range is None else ():
        if kind in _FULL and own["most"] < _DARK * _FULL[kind]:
            lines.append(
                f"  {kind} images reach only {own['most']:g} of {_FULL[kind]} and look nearly black: "
                f"preprocess.value_range: [{own['least']:g}, {own['most']:g}] would use the whole scale"
            )
        elif kind not in _PLAIN and not kind.startswith("float"):
            lines.append(f"  {kind} images need preprocess.value_range, such as [{own['least']:g}, {own['most']:g}]")
    if transparent:
        shown = "show the colours that lie below" if given.alpha == "drop" else f"become {given.alpha}"
        lines.append(f"transparent pixels: in {transparent} images; they {shown} (preprocess.alpha: {given.alpha})")
    return lines
