"""Autocast and loss scaling."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from sslkit.errors import RunError
from sslkit.recipe.continuing import AUTO
from sslkit.recipe.model import Recipe

log = logging.getLogger("sslkit")
_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
Concrete = Literal["fp32", "bf16", "fp16"]


def concrete(name: Literal["auto"] | Concrete, device: torch.device) -> Concrete:
    """The precision that ``auto`` means on a device; any other one as it is.

    bf16 where the device computes in it, fp16 on older GPUs, fp32 else.
    """
    if name != "auto":
        return name
    if _is_fast("bf16", device):
        return "bf16"
    return "fp16" if device.type == "cuda" else "fp32"


def why_slow(name: Concrete, device: torch.device) -> str | None:
    """A sentence where a device only emulates a precision; None where it does not."""
    if name == "fp32" or _is_fast(name, device):
        return None
    where, instead = ("GPU", "fp16") if device.type == "cuda" else ("CPU", "fp32")
    slower = "several times slower than" if name == "fp16" else "mostly slower than"
    return f"train.precision {name} is emulated on this {where}, {slower} {instead}: take {instead}, or auto"


def _is_fast(name: Literal["bf16", "fp16"], device: torch.device) -> bool:
    if device.type == "cuda":
        return name == "fp16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "bf16":
        # instructions for it: without them bf16 is computed in float32 and rounded
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(known and torch.ops.mkldnn._is_mkldnn_fp16_supported())


def settled(recipe: Recipe, there: Mapping[str, Any] | None, device: torch.device) -> Recipe:
    """The recipe with the precision that its run has.

    Args:
        recipe: whose ``train.precision`` may be ``auto``.
        there: the resolved recipe of the run that is continued, which stays what it was begun as; None: a new run.
        device: that trains.
    """
    wanted = recipe.train.precision
    if wanted == AUTO and there is not None:
        wanted = there.get("train", {}).get("precision", "fp32")
    return with_precision(recipe, concrete(wanted, device))


def with_precision(recipe: Recipe, name: Literal["auto"] | Concrete) -> Recipe:
    """The recipe with another precision."""
    resolved = {**recipe.resolved, "train": {**recipe.resolved["train"], "precision": name}}
    return replace(recipe, train=replace(recipe.train, precision=name), resolved=resolved)


class Precision:
    """What both nets compute in. Weights, losses, centers, teacher updates and the optimizer stay in float32.

    Args:
        name: ``fp32``, ``bf16`` or ``fp16``, or ``auto`` for what suits the device; only fp16 scales its losses.
        device: where the nets are.

    Attributes:
        name: which it is; never ``auto``.
    """

    def __init__(self, name: Literal["auto"] | Concrete, device: torch.device) -> None:
        self.name = concrete(name, device)
        self.dtype: torch.dtype | None = _DTYPES[self.name]
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.name == "fp16")

    def warn_if_slow(self) -> None:
        """Log a warning where the device only emulates it."""
        if (sentence := why_slow(self.name, self.device)) is not None:
            log.warning(sentence)

    def autocast(self) -> AbstractContextManager[None]:
        """The context for forward passes."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)

    def backward(self, loss: Tensor) -> None:
        """Backpropagate, scaled where fp16 needs it."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Turn scaled gradients into true ones, in place."""
        if self.scaler.is_enabled():
            self.scaler.unscale_(optimizer)

    def grow(self) -> None:
        """After a step: let the scaler try a larger scale now and then."""
        if self.scaler.is_enabled():
            self.scaler.update()

    def back_off(self) -> None:
        """After non-finite gradients under a finite loss: shrink the scale.

        Raises:
            RunError: if it is as small as it may be: then the scale is not the fault.
        """
        scale = self.scaler.get_scale() * self.scaler.get_backoff_factor()
        if scale < 1:
            raise RunError(
                "gradients are not finite even with fp16's smallest loss scale; use train.precision bf16 or fp32"
            )
        self.scaler.update(scale)
        # update leaves the count of good steps as it was, and the next good one could already double the scale again
        self.scaler.load_state_dict({**self.scaler.state_dict(), "_growth_tracker": 0})
