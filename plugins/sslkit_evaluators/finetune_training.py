"""Trains a copy of a backbone and a linear classifier, end to end."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.parts import Backbone, generator, keyed_randomness, mean_over_ranks, rank, world_size

#: Learning rates at the start of the warm-up and at the end of the run, for the whole batch (DeiT, main.py).
_WARMUP_LR, _MIN_LR = 1e-6, 1e-5
#: Of the classifier's first weights: DeiT's 0.02 times BEiT's init_scale of 0.001. DINO's author too made them smaller
#: than DeiT does (github.com/facebookresearch/dino, issue 31).
_HEAD_STD = 2e-5
#: Not decayed, beside biases and all that has one dimension (DeiT's no_weight_decay).
_NOT_DECAYED = ("*pos_embed", "*cls_token", "*dist_token")


class Classifier(nn.Module):
    """A copy of a backbone and a linear layer on its pooled feature; all of it is trained.

    Args:
        backbone: is copied, and stays as it is.
        classes: C.
        seed: of the linear layer's weights.
    """

    def __init__(self, backbone: Backbone, classes: int, seed: int) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone).requires_grad_(True)
        device = next(backbone.parameters()).device
        # its first weights would come from the global generator
        self.head = nn.utils.skip_init(nn.Linear, backbone.embed_dim, classes, device=device)
        first = generator("finetune_head", seed).normal(0, _HEAD_STD, (classes, backbone.embed_dim))
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(first))
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to logits ``[B, classes]``."""
        logits: Tensor = self.head(self.backbone(images).cls)
        return logits


@dataclass(frozen=True)
class Schedule:
    """How long and how fast is trained.

    Attributes:
        epochs: passes.
        steps: of an epoch.
        lr: the peak, for the whole batch.
        warmup_epochs: of the linear warm-up.
        weight_decay: of AdamW.
        layer_decay: factor of the learning rate from each layer to the one before it.
    """

    epochs: int
    steps: int
    lr: float
    warmup_epochs: int
    weight_decay: float
    layer_decay: float


class Training:
    """AdamW with warm-up and cosine, on all ranks together.

    Args:
        net: is trained.
        schedule: how long and how fast.
        seed: of what the net draws, such as drop path.
        autocast: what is computed in; None: float32.
    """

    def __init__(self, net: Classifier, schedule: Schedule, seed: int, autocast: torch.dtype | None) -> None:
        from timm.scheduler import CosineLRScheduler

        self._net, self._schedule, self._seed, self._autocast = net, schedule, seed, autocast
        groups = parameter_groups(net, schedule.weight_decay, schedule.layer_decay)
        self._optimizer = torch.optim.AdamW(groups, lr=schedule.lr)
        self._rates = CosineLRScheduler(
            self._optimizer,
            t_initial=schedule.epochs * schedule.steps,
            lr_min=min(_MIN_LR, schedule.lr),
            warmup_t=schedule.warmup_epochs * schedule.steps,
            warmup_lr_init=min(_WARMUP_LR, schedule.lr),
            t_in_epochs=False,
        )

    @torch.enable_grad()
    def step(self, images: Tensor, targets: Tensor, epoch: int, step: int) -> Tensor:
        """One step on a batch that all ranks hold; each computes its share.

        Args:
            images: ``[B, C, H, W]``; B at least the number of ranks.
            targets: ``[B, classes]``, each of sum 1.
            epoch: which pass, 0-based.
            step: which step of it, 0-based.

        Returns:
            the loss of this rank's share before the step, a scalar without gradient.
        """
        self._rates.step_update(epoch * self._schedule.steps + step)
        total = len(images)
        images, targets = (whole.tensor_split(world_size())[rank()] for whole in (images, targets))
        self._net.train()
        self._optimizer.zero_grad()
        device = images.device
        with (
            keyed_randomness(device, "finetune_net", self._seed, epoch, step, rank()),
            torch.autocast(device.type, dtype=self._autocast, enabled=self._autocast is not None),
        ):
            logits = self._net(images).float()
        summed = F.cross_entropy(logits, targets, reduction="sum")
        # the mean over ranks is then that over the batch, though shares may differ by an image
        (summed * world_size() / total).backward()
        gradients = [p.grad for p in self._net.parameters() if p.grad is not None]
        average(gradients)
        self._optimizer.step()
        return summed.detach() / len(images)

    def finish(self) -> Classifier:
        """The trained net in eval mode, the same on all ranks: statistics of BatchNorm are averaged."""
        average([buffer for buffer in self._net.buffers() if buffer.is_floating_point()])
        return self._net.eval()


def parameter_groups(net: Classifier, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: which weights decay, and with ``layer_decay`` below 1 the rate of each layer (``lr_scale``).

    The classifier's scale is 1, and each layer's, as timm knows them of the architecture, ``layer_decay`` times that of
    the next one (BEiT, Bao et al. 2022).

    Args:
        net: backbone and classifier.
        weight_decay: of what decays.
        layer_decay: above 0, at most 1.
    """
    from timm.optim import param_groups_layer_decay, param_groups_weight_decay

    groups: list[dict[str, Any]] = param_groups_weight_decay(net, weight_decay, no_weight_decay_list=_NOT_DECAYED)
    if layer_decay == 1:
        return groups
    layered: list[dict[str, Any]] = param_groups_layer_decay(
        net.backbone.plain(), weight_decay, no_weight_decay_list=_NOT_DECAYED, layer_decay=layer_decay
    )
    for group in layered:
        # timm's own scale is 1 for the last layer that it sees, and it does not see the classifier
        group["lr_scale"] *= layer_decay
    taken = {id(parameter) for group in layered for parameter in group["params"]}
    for group in groups:
        rest = [parameter for parameter in group["params"] if id(parameter) not in taken]
        if rest:
            layered.append({**group, "params": rest, "lr_scale": 1.0})
    return layered


def average(tensors: list[Tensor]) -> None:
    """Give tensors, of the same shapes on every rank, their mean over the ranks, in place and in one exchange."""
    if world_size() == 1 or not tensors:
        return
    flat = mean_over_ranks(torch.cat([tensor.flatten().float() for tensor in tensors]))
    for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))
