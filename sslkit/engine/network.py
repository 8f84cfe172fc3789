"""A backbone with its heads, run over the views of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sslkit.parts.backbone import Backbone
from sslkit.parts.head import Head
from sslkit.parts.outputs import Outputs
from sslkit.parts.views import Views, ViewSpec


class Network(nn.Module):
    """Student or teacher: backbone, projection head and (student only) predictor.

    ``view_batching`` ``all``: the backbone runs once per resolution, and the heads once on the features of all views,
    so that a BatchNorm's statistics are over all of them; ``view``: everything runs view by view.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head | None,
        predictor: Head | None = None,
        view_batching: Literal["all", "view"] = "all",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.predictor = predictor
        self.view_batching = view_batching
        self._compiled: dict[str, Callable[[Tensor], Any]] = {}

    def compile_parts(self, graphs: bool) -> None:
        """Let torch.compile make what runs backbone and heads from now on, in training alone: whoever calls
        ``backbone`` itself, as evaluators do, runs it as it is.

        Args:
            graphs: whether CUDA graphs are recorded and played.
        """
        mode = "reduce-overhead" if graphs else None
        # a dictionary keeps them apart from the net's modules, and so from its state
        self._compiled = {name: torch.compile(part, dynamic=False, mode=mode) for name, part in self.named_children()}

    def forward(self, views: Views, wanted: tuple[ViewSpec, ...]) -> Outputs:
        """Outputs for the wanted views, in their order."""
        features = self._features(views, wanted)
        projections = self._run_head("head", features)
        predictions = self._run_head("predictor", projections)
        return Outputs(features, projections, predictions)

    def _features(self, views: Views, wanted: tuple[ViewSpec, ...]) -> dict[str, Tensor]:
        if self.view_batching == "view":
            return {spec.id: self._run("backbone", views.of(spec.id)).cls for spec in wanted}
        found: dict[str, Tensor] = {}
        for size, images in views.images.items():
            ids = [spec.id for spec in views.specs if spec.size == size]
            rows = [row for row, view in enumerate(ids) if any(spec.id == view for spec in wanted)]
            if not rows:
                continue
            # a stretch of rows is taken without a copy
            stretch = rows == list(range(rows[0], rows[-1] + 1))
            chosen = images[rows[0] : rows[-1] + 1] if stretch else images[rows]
            pooled = self._run("backbone", chosen.flatten(0, 1)).cls.unflatten(0, chosen.shape[:2])
            found.update(zip([ids[row] for row in rows], pooled, strict=True))
        return {spec.id: found[spec.id] for spec in wanted}

    def _run_head(self, name: Literal["head", "predictor"], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        if getattr(self, name) is None or not inputs:
            return {}
        if self.view_batching == "view":
            return {view: self._run(name, tensor) for view, tensor in inputs.items()}
        outputs = self._run(name, torch.cat(list(inputs.values())))
        return dict(zip(inputs, outputs.chunk(len(inputs)), strict=True))

    def _run(self, name: str, inputs: Tensor) -> Any:
        return self._compiled.get(name, getattr(self, name))(inputs)


def teacher_mode(teacher: nn.Module, own_statistics: bool) -> None:
    """No gradient, no drop path.

    Args:
        teacher: a net.
        own_statistics: whether BatchNorm normalises by the teacher's own batches, as in the reference DINO
            (main_dino.py), or by the running statistics that came with its weights.
    """
    teacher.requires_grad_(False)
    teacher.eval()
    for module in teacher.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(own_statistics)
