"""Gives back what a run learned, as a plain torch module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL.Image import Image
from torch import Tensor, nn

from sslkit.data.preprocess import normalize, preprocess_image
from sslkit.data.reading import to_mode
from sslkit.engine.build import build_backbone, dataset
from sslkit.engine.checkpoint import CheckpointStore, restore
from sslkit.errors import UserError
from sslkit.parts.backbone import Backbone
from sslkit.parts.dataset import Dataset
from sslkit.parts.preprocess import Preprocess
from sslkit.plugins.manager import load_registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.model import Recipe
from sslkit.recipe.overrides import Override

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

    def transform(self, image: Image) -> Tensor:
        """A whole PIL image as the backbone's input ``[C, size, size]``: resized, cropped, normalised."""
        pixels = preprocess_image(to_mode(image, self.preprocess.channels), self.preprocess)
        return normalize(pixels, self.preprocess)


def load_backbone(
    run_or_file: str | Path, which: Which | None = None, *, plugins: Sequence[str | Path] | str | Path = ()
) -> FeatureExtractor:
    """The backbone that a run trained, in eval mode on the CPU.

    Args:
        run_or_file: a run folder, one of its checkpoints, or a checkpoint's ``weights.safetensors``.
        which: the net; by default the teacher, or the student where there is no teacher.
        plugins: single-file plugins that the run's recipe needs.

    Raises:
        UserError: if there is no such run, checkpoint or net.
    """
    run, step = find_run(Path(run_or_file))
    recipe = read_recipe(run, plugins)
    backbone = build_backbone(recipe)
    restore_backbone(backbone, run, step, which)
    return FeatureExtractor(backbone, recipe.preprocess).eval()


def find_run(path: Path) -> tuple[Path, int | None]:
    """The run folder that a path names, and the step if it names a checkpoint.

    Raises:
        UserError: if the path is neither a run, nor a checkpoint of one, nor its weights.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such run; name a folder that `sslkit fit` wrote, as runs/quickstart")
    inner = path.parent if path.name == "weights.safetensors" else path
    step = int(inner.name[5:]) if inner.name.startswith("step-") and inner.name[5:].isdigit() else None
    run = inner if step is None else inner.absolute().parent.parent
    if (run / "recipe.yaml").is_file() and (run / "checkpoints").is_dir():
        return run, step
    raise UserError(
        f"{path}: this is no run (a folder with recipe.yaml and checkpoints/), none of its checkpoints/step-N, and no "
        "checkpoint's weights.safetensors"
    )


def read_recipe(run: Path, plugins: Sequence[str | Path] | str | Path = ()) -> Recipe:
    """The recipe that a run was made from."""
    return load_recipe(run / "recipe.yaml", registry=load_registry(plugins))


def judged_data(recipe: Recipe, overrides: Sequence[Override]) -> Dataset:
    """What a finished run is judged on: the data that the user names now, else the recipe's evaluation data."""
    named_now = any(override.key.split(".")[0] == "data" for override in overrides)
    return dataset(recipe.data if named_now or recipe.eval_data is None else recipe.eval_data)


def restore_backbone(backbone: Backbone, run: Path, step: int | None, which: Which | None) -> Which:
    """Load a net's backbone weights from a run's checkpoint, strictly; says which net it was.

    Raises:
        UserError: if there is no whole checkpoint, or the run has no such net.
    """
    store = CheckpointStore(run / "checkpoints")
    found = store.newest() if step is None else store.load(step)
    if found is None:
        what = "has no whole checkpoint yet" if step is None else f"has no whole checkpoint of step {step}"
        raise UserError(f"{run} {what}; train it first: sslkit fit --recipe {run / 'recipe.yaml'} --out {run}")
    nets: list[Which] = [net for net in _NETS if any(key.startswith(f"{net}/") for key in found.weights)]
    net: Which = which or nets[0]
    if net not in _NETS:
        raise UserError(f"which: there is no net {net!r}; known: {', '.join(_NETS)}")
    if net not in nets:
        raise UserError(f"{run} has no {net}: its recipe names no teacher rule; use student")
    prefix = f"{net}/backbone."
    weights = {f"backbone/{k.removeprefix(prefix)}": v for k, v in found.weights.items() if k.startswith(prefix)}
    with torch.no_grad():
        restore({"backbone": backbone}, weights)
    return net


_NETS: tuple[Which, ...] = ("teacher", "student")
