"""Compares what was computed with a golden training, quantity by quantity."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sslkit.testing import Agreement, Sheet, agreement
from sslkit_dino.golden_names import Golden, names_below, silent, step_count
from sslkit_dino.golden_training import replayed, shaken, stored_views

#: What is compared entry by entry: its key in the file, what a person calls it, and what is fair.
_PLAIN = {
    "student_out0": ("student's outputs, step 0", 1e-5),
    "teacher_out0": ("teacher's outputs, step 0", 1e-5),
    "lr": ("learning rate, every step", 1e-12),
    "wd": ("weight decay, every step", 1e-12),
    "momentum": ("teacher momentum, every step", 1e-12),
    "teacher_temp": ("teacher temperature, every epoch", 1e-12),
    "losses": ("loss, every step", 1e-5),
    "centers": ("center, every step", 1e-5),
    "probe/cls_feature": ("probe: feature", 1e-5),
    "probe/last_attention": ("probe: attention of the last block", 1e-5),
    "probe/last2_layers": ("probe: tokens of the last two blocks", 1e-5),
    "probe/rect_cls_feature": ("probe: feature of a non-square image", 1e-5),
}

_GRADIENTS, _NORMS = "gradients of step 0, before clipping", "gradient norms before clipping, every step"
_FINAL = {"final_student": "final student weights", "final_teacher": "final teacher weights"}

#: How often the views are shaken, and how many times what that moves is fair.
_SHAKES, _FAIR = 4, 4


def compare_training(sheet: Sheet) -> None:
    """Schedules, first outputs and gradients, every loss and center, final weights, and the trained net's features.

    Fair is 1e-5. Where rounding alone moves a tensor by more, as behind BatchNorm at the start of a training, whose
    batches hardly differ, that is no measure: then fair is four times what the last bit of the views moves in it. A row
    of several tensors tells of the one that is nearest to its limit, or the furthest beyond it.
    """
    golden = sheet.golden
    if not step_count(golden):
        return
    views = stored_views(golden)
    found = replayed(golden, views)
    floors = [compared(replayed(golden, moved), found, golden) for moved in shaken(views, _SHAKES)]
    rows: dict[str, Agreement] = {}
    for key, row in compared(found, golden, golden).items():
        moved = max(floor[key].difference for floor in floors)
        if math.isfinite(moved):
            row = replace(row, tolerance=max(row.tolerance, _FAIR * moved))
        other = rows.get(row.quantity)
        if other is None or row.difference / row.tolerance > other.difference / other.tolerance:
            rows[row.quantity] = row
    sheet.rows += rows.values()
    sheet.left_out += _left_out(golden)


def compared(found: Golden, wanted: Golden, golden: Golden) -> dict[str, Agreement]:
    """How far every tensor is from what it should be, by its name in the file.

    Args:
        found: numbers by the names of a golden file.
        wanted: what they should be, by the same names.
        golden: the file, for its initial weights and its configuration.
    """
    out = {
        key: agreement(name, found[key], wanted[key], fair)
        for key, (name, fair) in _PLAIN.items()
        if key in golden and key in found
    }
    for column, name in enumerate(names_below(golden, "grad0/")):
        if silent(golden, name):
            continue
        out[f"grad0/{name}"] = _gradient(name, found.get(f"grad0/{name}"), wanted[f"grad0/{name}"])
        if "clip_norms" in golden:
            norms = [numbers["clip_norms"][:, column] for numbers in (found, wanted)]
            out[f"clip_norms/{name}"] = _gradient_norms(*norms)
    for group in _FINAL:
        for key in (key for key in golden if key.startswith(f"{group}/")):
            name = key.removeprefix(f"{group}/")
            difference = _weight(golden, name, found[key], wanted[key]) if key in found else math.inf
            out[key] = Agreement(_FINAL[group], difference, 1e-5, "of how far the tensor moved")
    return out


def _left_out(golden: Golden) -> list[str]:
    """The quantities of a training that the file does not hold, such as the norms of a run without clipping."""
    probes = {key: "probe/rect_image" if "rect" in key else "probe/image" for key in _PLAIN if key.startswith("probe/")}
    gradients = bool(names_below(golden, "grad0/"))
    there = {name: key in golden and probes.get(key, key) in golden for key, (name, _) in _PLAIN.items()}
    # the columns of the norms are in the order of the gradients' names
    there |= {_GRADIENTS: gradients, _NORMS: gradients and "clip_norms" in golden}
    there |= {name: bool(names_below(golden, f"{group}/")) for group, name in _FINAL.items()}
    return [name for name, held in there.items() if not held]


def _rates(golden: Golden) -> float:
    """The sum of the learning rates, at least: of a file without them, as if each were the peak."""
    if "lr" in golden:
        return float(golden["lr"].sum())
    return float(golden["config/lr"]) * step_count(golden)


def _gradient(name: str, found: np.ndarray | None, wanted: np.ndarray) -> Agreement:
    right = _heard(name, wanted.astype(np.float64))
    difference = math.inf if found is None else _norm(_heard(name, found) - right) / _norm(right)
    return Agreement(_GRADIENTS, difference, 1e-5, "of the tensor's norm")


def _gradient_norms(found: np.ndarray, wanted: np.ndarray) -> Agreement:
    difference = float(np.abs(found - wanted).max()) / max(float(wanted.max()), 1e-30)
    return Agreement(_NORMS, difference, 1e-5, "of the tensor's largest")


def _weight(golden: Golden, name: str, found: np.ndarray, wanted: np.ndarray) -> float:
    """A final weight's difference as a share of how far it moved, after what rounding it once a step may cost.

    AdamW makes steps of up to lr out of the noise of gradients that are exactly zero: those, and the running means
    behind such a bias, are compared with 2 x lr x steps: a difference as large as that counts 1e-5.
    """
    right = wanted.astype(np.float64)
    # both sides move by up to lr a step, each its own way
    difference, noise = found.astype(np.float64) - right, 2 * _rates(golden)
    if name.endswith("num_batches_tracked"):
        return math.inf if difference.any() else 0.0
    if silent(golden, name):
        return 1e-5 * float(np.abs(difference).max()) / noise
    moved = right - golden[f"init/{name}"] if f"init/{name}" in golden else right
    allowed = 2.0**-24 * _norm(right) * step_count(golden) ** 0.5
    if name.endswith("running_mean"):
        allowed += noise * len(right) ** 0.5
    beyond = max(0.0, _norm(_heard(name, difference)) - allowed)
    worst = beyond / max(_norm(_heard(name, moved)), 1e-30) if beyond else 0.0
    if name.endswith("qkv.bias"):
        worst = max(worst, 1e-5 * float(np.abs(np.split(difference, 3)[1]).max()) / noise)
    return worst


def _heard(name: str, value: np.ndarray) -> np.ndarray:
    """Without the keys' third of a qkv bias, whose exact gradient is zero: it moves all of a query's logits alike."""
    if not name.endswith("qkv.bias"):
        return value
    queries, _, values = np.split(value, 3)
    return np.concatenate([queries, values])


def _norm(value: np.ndarray) -> float:
    return float(np.linalg.norm(value))
