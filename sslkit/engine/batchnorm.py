"""BatchNorm over all ranks: ``nn.SyncBatchNorm`` on CUDA, and one that also runs on CPU (gloo)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit.errors import UserError
from sslkit.parts.collectives import sum_with_gradient, world_size

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


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
        if self.weight is not None:
            x = x * self.weight.view(shape)
        if self.bias is not None:
            x = x + self.bias.view(shape)
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

    Raises:
        UserError: if the net has a BatchNorm that cannot be replaced.
    """
    return net if world_size() == 1 else convert(net, device)


def convert(net: nn.Module, device: torch.device) -> nn.Module:
    """The same net with every BatchNorm replaced by one over all ranks, for a device.

    Names of parameters and buffers stay, so checkpoints fit either way.

    Raises:
        UserError: if the net has a BatchNorm of another class than torch's own, which may do more than normalise
            (an activation, say): replaced, it would silently lose that; kept, ranks would drift apart.
    """
    return _convert(net, nn.SyncBatchNorm if device.type == "cuda" else CrossRankBatchNorm, "")


def _convert(module: nn.Module, target: type[nn.SyncBatchNorm | CrossRankBatchNorm], path: str) -> nn.Module:
    for name, child in module.named_children():
        module.add_module(name, _convert(child, target, f"{path}.{name}" if path else name))
    if not isinstance(module, _BatchNorm) or type(module) is target:
        return module
    if type(module) not in _PLAIN:
        raise UserError(
            f"{path or 'the net'} is a {type(module).__name__} of {type(module).__module__}, a BatchNorm that may do "
            "more than normalise and so cannot be made to work over several processes; train on one process, or "
            "choose a backbone or head with torch's own BatchNorm or with none"
        )
    new = target(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
    # the very tensors: their type, device and requires_grad stay
    new._parameters, new._buffers = module._parameters, module._buffers
    return new.train(module.training)
