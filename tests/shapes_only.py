"""Nets without values: what matters is which weights there are, and of which shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

#: Fill a tensor, or give one of the same shape: on ``meta``, torch computes each of them in slow Python.
_KEEP_THE_SHAPE = frozenset({
    "add_", "batch_norm", "bernoulli_", "clamp", "clamp_", "constant_", "copy_", "dropout", "erfinv_", "fill_", "gelu",
    "group_norm", "hardsigmoid", "hardswish", "kaiming_normal_", "kaiming_uniform_", "layer_norm", "mul_", "normal_",
    "relu", "rms_norm", "sigmoid", "silu", "softmax", "tanh", "uniform_", "xavier_uniform_", "zero_",
})  # fmt: skip


class _ShapesOnly(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Give the first argument back where the result would have its shape."""
        if func.__name__ in _KEEP_THE_SHAPE:
            first = next(iter((*args, *(kwargs or {}).values())))
            if isinstance(first, Tensor) and first.is_meta:
                return first
        return func(*args, **(kwargs or {}))


@contextmanager
def shapes_only() -> Iterator[None]:
    """Tensors that are made in the block have shapes and no values, and initialising them takes no time."""
    with _ShapesOnly(), torch.device("meta"):
        yield
