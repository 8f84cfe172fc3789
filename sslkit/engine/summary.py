"""The numbers that a finished run is summed up in."""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch

from sslkit.engine.build import Length
from sslkit.engine.standing import Standing
from sslkit.parts.collectives import world_size
from sslkit.recipe.settings import Train


def peak_memory_mb(device: torch.device) -> float:
    """The most memory that this process has held, on the device or, on a CPU, resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def summarise(standing: Standing, steps: Length, train: Train, device: torch.device) -> dict[str, Any]:
    """The flat summary of a finished run: metrics in percent, ``start/...`` for those before training."""
    start = {f"start/{name}": value for name, value in standing.evaluations.get("0", {}).items()}
    trained = standing.step * train.batch_size
    return {
        **standing.evaluations.get(str(steps.total), {}),
        **start,
        "loss": standing.last_loss,
        "steps": standing.step,
        "epochs": train.epochs,
        "seconds": round(standing.seconds, 3),
        "images_per_second": round(trained / standing.seconds, 3) if standing.seconds else None,
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "world_size": world_size(),
        "back_offs": standing.back_offs,
        "nonfinite_steps": standing.nonfinite,
        "enlarged_images": standing.enlarged,
        "best_step": standing.best.step if standing.best else None,
        "best_value": standing.best.value if standing.best else None,
    }
