"""Looks, once a step, whether everything is finite, before anything moves: the one host sync of a step."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from sslkit.errors import NotFinite
from sslkit.parts.collectives import world_size
from sslkit.parts.position import Position


class Guard:
    """The finite check, agreed on by all ranks, and with it the wish of any rank to stop or to save.

    Args:
        scaled: whether losses are scaled (fp16): non-finite gradients under a finite loss are then the
            scaler's back-off and no fault.
    """

    def __init__(self, scaled: bool) -> None:
        self.scaled = scaled
        # numbers of signals; 0: none
        self.stop_wanted = self.stop_agreed = 0
        self.save_wanted = self.save_agreed = False
        self.back_offs = 0

    def passes(self, total: Tensor, norms: Tensor, at: Position) -> bool:
        """Whether the step may be made.

        Args:
            total: the loss, a scalar.
            norms: gradient norms, ``[n]``, before clipping and of what the hooks made of the gradients, and how large
                what the losses' buffers will be moved by is.
            at: the step.

        Raises:
            NotFinite: if the loss is not finite, or a gradient is not and losses are not scaled.
        """
        bad = torch.stack([~torch.isfinite(total.detach()), ~torch.isfinite(norms).all()])
        # filled on the device: a tensor made of numbers would have to be sent there, a sync of its own
        wishes = [bad.new_full((1,), wish, dtype=torch.float32) for wish in (self.stop_wanted, self.save_wanted)]
        flags = torch.cat([bad.float(), *wishes])
        if world_size() > 1:
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        bad_loss, bad_gradient, stop, save = flags.tolist()
        self.stop_agreed, self.save_agreed = int(stop), bool(save)
        if not bad_loss and not bad_gradient:
            return True
        if self.scaled and not bad_loss:
            self.back_offs += 1
            return False
        what = "the loss is" if bad_loss else "a gradient is"
        raise NotFinite(
            f"{what} not finite at step {at.step} (epoch {at.epoch}); nothing was moved, and the last checkpoint is "
            "whole. What usually helps: a lower optimizer.lr, a longer warm-up, clip, or train.precision bf16 or fp32; "
            "train.on_nonfinite skip goes on without this step",
            on_every_rank=True,
        )
