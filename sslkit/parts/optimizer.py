"""The contract of an optimizer part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from sslkit.parts.schedule import Schedule


class OptimizerPart(ABC):
    """Makes a torch optimizer, and says which rates it wants.

    Which tensor gets which multiples of the rates is data of the recipe (``param_groups``), not of this part.

    Attributes:
        lr: learning rate per ``train.lr_per_images`` images: the engine scales its peak with the batch.
        weight_decay: its own schedule; not scaled.
    """

    lr: Schedule
    weight_decay: Schedule

    @abstractmethod
    def create(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over parameter groups.

        Args:
            groups: each with ``params``, ``lr`` and ``weight_decay`` (set anew before every step) and
                ``trust`` (False where a layer-wise adaptive optimizer must not adapt).
        """
