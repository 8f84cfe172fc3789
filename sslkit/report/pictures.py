"""Pictures of a run: the augmented views of its first images, and its curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.utils import make_grid, save_image

from sslkit.data.batch import Collate, Sample
from sslkit.data.loading import AugmentedImages
from sslkit.engine.run_folder import RunFolder
from sslkit.parts.augmenter import Augmenter

#: Images in the picture of views, and the least side in pixels that a view is shown with.
SHOWN_IMAGES, SHOWN_SIDE = 6, 96


def draw_views(file: Path, views: AugmentedImages) -> Path | None:
    """Write a picture of views: a row an image, a column a view, as epoch 0 shows them to the nets.

    Of images of more than three channels the first three are shown, as red, green and blue; of two the first.
    """
    samples = [views[0, index] for index in range(min(SHOWN_IMAGES, len(views.images)))]
    shown = [_enlarge(view) for sample in samples for view in _views_of(sample, views.augmenter)]
    if not shown:
        return None
    side = max(view.shape[-1] for view in shown)
    padded = [_centre(view, side) for view in shown]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_image(make_grid(torch.stack(padded), nrow=len(views.augmenter.views), pad_value=1.0), file)
    return file


def _views_of(sample: Sample, augmenter: Augmenter) -> Sequence[Tensor]:
    if sample.source is None:
        return sample.views
    made = {size: iter(views[:, 0]) for size, views in Collate(augmenter.views)([sample]).views(augmenter).items()}
    return [next(made[spec.size]) for spec in augmenter.views]


def _enlarge(view: Tensor) -> Tensor:
    times = max(1, SHOWN_SIDE // view.shape[-1])
    view = view[: 3 if len(view) >= 3 else 1]
    return interpolate(view[None].float() / 255, scale_factor=times, mode="nearest")[0]


def _centre(view: Tensor, side: int) -> Tensor:
    space = side - view.shape[-1]
    before, after = space // 2, space - space // 2
    return torch.nn.functional.pad(view, (before, after, before, after), value=1.0)


def draw_curves(folder: RunFolder) -> Path | None:
    """Write ``pictures/curves.png`` from ``metrics.csv``: losses and rates by step, evaluations by epoch.

    What never changed has no panel.
    """
    source = folder.path / "metrics.csv"
    if not source.is_file():
        return None
    table = pd.read_csv(source)
    names = [name for name in table["name"].unique() if not name.startswith("time/")]
    evaluated = [name for name in names if name.split("/")[0] in ("teacher", "student") and name.endswith("top1")]
    moving = table.groupby("name")["value"].nunique() > 1
    stepwise = [name for name in names if name.split("/")[0] not in ("teacher", "student") and moving[name]]
    folder.pictures.mkdir(parents=True, exist_ok=True)
    return _plot(table, stepwise, evaluated, folder.pictures / "curves.png")


def _plot(table: pd.DataFrame, stepwise: Sequence[str], evaluated: Sequence[str], file: Path) -> Path:
    # the object interface: no window, no global figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [[name] for name in stepwise] + ([list(evaluated)] if evaluated else [])
    columns = min(3, len(panels)) or 1
    rows = -(-len(panels) // columns) or 1
    figure = Figure(figsize=(4.6 * columns, 3.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        for name in panel:
            line = table[table["name"] == name]
            marker = "o" if name in evaluated else None
            axes.plot(line["epoch"], line["value"], label=name, linewidth=1.2, marker=marker, markersize=3)
        axes.set_title(panel[0] if len(panel) == 1 else "evaluations (%)", fontsize=10)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if len(panel) > 1:
            axes.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    figure.savefig(file, dpi=110)
    return file
