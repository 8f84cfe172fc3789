"""The reference's own training step (facebookresearch/dino, main_dino.py), from a checkout that is given by path."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class ReferenceDino:
    """Student, teacher, loss and optimizer as ``train_dino`` builds them, and its ``train_one_epoch``.

    Args:
        folder: the checkout.
        arch: such as ``vit_small``.
        patch: side of a patch in pixels.
        locals_: small crops.
        out_dim: prototypes K.
        drop_path: of the student.
        fp16: autocast and loss scaling, as its ``--use_fp16``.
        device: CPU or CUDA.
    """

    def __init__(
        self,
        folder: Path,
        arch: str,
        patch: int,
        locals_: int,
        out_dim: int,
        drop_path: float,
        fp16: bool,
        device: torch.device,
    ) -> None:
        sys.path.insert(0, str(folder.absolute()))
        import main_dino  # type: ignore[import-not-found]
        import utils  # type: ignore[import-not-found]
        import vision_transformer as vits  # type: ignore[import-not-found]

        _stand_in(utils, device)
        self._train, self._device = main_dino.train_one_epoch, device
        student = vits.__dict__[arch](patch_size=patch, drop_path_rate=drop_path)
        teacher = vits.__dict__[arch](patch_size=patch)
        student = utils.MultiCropWrapper(student, main_dino.DINOHead(student.embed_dim, out_dim, False))
        teacher = utils.MultiCropWrapper(teacher, main_dino.DINOHead(teacher.embed_dim, out_dim, False))
        student, self.teacher = student.to(device), teacher.to(device)
        ids = [device.index or 0] if device.type == "cuda" else None
        self.student = torch.nn.parallel.DistributedDataParallel(student, device_ids=ids)
        self.teacher.load_state_dict(student.state_dict())
        self.teacher.requires_grad_(False)
        self.loss = main_dino.DINOLoss(out_dim, locals_ + 2, 0.04, 0.04, 0, 100).to(device)
        self.optimizer = torch.optim.AdamW(utils.get_params_groups(self.student))
        self.scaler = torch.amp.GradScaler(device.type) if fp16 else None
        self._options = Namespace(epochs=100, clip_grad=3.0, freeze_last_layer=0)

    def steps(self, views: list[Tensor], count: int) -> None:
        """So many steps of ``train_one_epoch`` on the same views ``[B, 3, size, size]``, global ones first."""
        batches = [(views, None)] * count
        rates = [5e-4] * count, [0.04] * count, [0.996] * count
        # it prints its progress, with the rates of the last ten steps
        with contextlib.redirect_stdout(io.StringIO()):
            self._train(
                self.student, self.teacher, self.teacher, self.loss, batches, self.optimizer, *rates, 0, self.scaler,
                self._options,
            )  # fmt: skip


def normalised(pixels: dict[int, Tensor]) -> list[Tensor]:
    """uint8 views ``[V, B, C, size, size]`` by size as the reference's loader gives them: a list of float32 views."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    views = [(view.float() / 255 - mean) / std for group in pixels.values() for view in group]
    return [view.pin_memory() for view in views] if torch.cuda.is_available() else views


def _stand_in(utils: Any, device: torch.device) -> None:
    """A process group of one, and on a CPU what the reference calls on a GPU alone."""
    if not dist.is_initialized():
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29511")
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=0, world_size=1)
    if device.type == "cpu":
        torch_any: Any = torch
        torch_any.Tensor.cuda = lambda tensor, **_: tensor
        torch_any.cuda.synchronize = lambda *_: None
        utils.is_dist_avail_and_initialized = lambda: False  # its meters are gathered on a GPU
