"""A small run of stable-pretraining with its documented settings: OUT DATA EPOCHS LEARNING_RATE [resume]."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
import stable_pretraining as spt
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from stable_pretraining.data import transforms as t
from torch.utils.data import DataLoader
from torchvision import models
from torchvision.datasets import ImageFolder


def forward(self: Any, batch: dict[str, Any], stage: str) -> dict[str, Any]:
    """Two views, and a contrastive loss."""
    one, other = (self.backbone(view["image"]) for view in batch["views"])
    return {"loss": self.simclr_loss(one, other)}


class Images(torch.utils.data.Dataset[dict[str, Any]]):
    """A folder of images as samples of its transforms."""

    def __init__(self, data: str) -> None:
        view = t.Compose(t.RandomResizedCrop(32), t.RandomHorizontalFlip(0.5), t.ToImage())
        self._files, self._views = ImageFolder(str(Path(data).parent)), t.MultiViewTransform([view, view])

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, label = self._files[index]
        return self._views({"image": image, "label": label})  # type: ignore[no-any-return]


def main() -> None:
    """Train."""
    out, data, epochs, rate, *resume = sys.argv[1:]
    # its runs and its register of runs lie below one folder
    spt.set(cache_dir=out)
    L.seed_everything(0, workers=True)
    module = spt.Module(
        backbone=models.resnet18(num_classes=64),
        forward=forward,
        simclr_loss=spt.losses.NTXEntLoss(temperature=0.2),
        optim={
            "optimizer": {"type": "SGD", "lr": float(rate), "momentum": 0.9},
            "scheduler": {"type": "ConstantLR", "factor": 1.0},
        },
    )
    saving = ModelCheckpoint(out, save_last=True, every_n_train_steps=3)
    trainer = L.Trainer(
        max_epochs=int(epochs),
        accelerator="cpu",
        callbacks=[saving],
        logger=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )
    loader = DataLoader(Images(data), 16, shuffle=True, drop_last=True)
    found = sorted(Path(out).absolute().rglob("*.ckpt"), key=lambda file: file.stat().st_mtime_ns)
    last = str(found[-1]) if resume else None
    spt.Manager(trainer, module, spt.data.DataModule(train=loader), seed=0, ckpt_path=last)()
    trainer.save_checkpoint(Path(out) / "final.ckpt")


if __name__ == "__main__":
    main()
