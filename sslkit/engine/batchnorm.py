"""BatchNorm over all ranks: ``nn.SyncBatchNorm`` on CUDA, and one that also runs on CPU (gloo)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit.parts.collectives import sum_with_gradient, world_size


class CrossRankBatchNorm(_BatchNorm):
    """BatchNorm whose statistics are those of all ranks' joined batch; for CPU, which SyncBatchNorm refuses."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [B, C, ...], got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``[B, C, ...]``; every rank must hold equally many values a channel."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        count = x.numel() // x.shape[1] * world_size()
        mean = sum_with_gradient(x.sum(axes)) / count
        centered = x - mean.view(shape)
        var = sum_with_gradient(centered.square().sum(axes)) / count
        self._track(mean.detach(), var.detach(), count)
        x = centered * torch.rsqrt(var + self.eps).view(shape)
        if self.affine:
            x = x * self.weight.view(shape) + self.bias.view(shape)
        return x.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((var * count / (count - 1)).to(self.running_var.dtype), momentum)


def synchronise(net: nn.Module, device: torch.device) -> nn.Module:
    """The same net with every BatchNorm over all ranks; unchanged on one rank.

    Names of parameters and buffers stay, so checkpoints fit either way.
    """
    if world_size() == 1:
        return net
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return converted
    return _convert(net)


def _convert(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        module.add_module(name, _convert(child))
    if not isinstance(module, _BatchNorm) or isinstance(module, CrossRankBatchNorm):
        return module
    new = CrossRankBatchNorm(
        module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
    )
    # the very tensors: their type, device and requires_grad stay
    new._parameters, new._buffers = module._parameters, module._buffers
    return new.train(module.training)
