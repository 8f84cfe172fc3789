"""A small run of Lightning's own loop with its documented settings: OUT DATA EPOCHS LEARNING_RATE [resume]."""

from __future__ import annotations

import sys
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder


class SimCLR(L.LightningModule):
    """Two views, and a contrastive loss."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.net, self.rate = models.resnet18(num_classes=64), rate

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        (one, other), _ = batch
        z = torch.nn.functional.normalize(self.net(torch.cat([one, other])), dim=1)
        similar = (z @ z.T / 0.2).fill_diagonal_(-1e9)
        loss = torch.nn.functional.cross_entropy(similar, torch.arange(len(z)).roll(len(z) // 2))
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.rate, momentum=0.9)


def main() -> None:
    """Train."""
    out, data, epochs, rate, *resume = sys.argv[1:]
    L.seed_everything(0, workers=True)
    view = transforms.Compose(
        [transforms.RandomResizedCrop(32), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )
    images = ImageFolder(str(Path(data).parent), lambda image: (view(image), view(image)))
    loader = DataLoader(images, 16, shuffle=True, drop_last=True)
    saving = ModelCheckpoint(out, save_last=True, every_n_train_steps=3)
    trainer = L.Trainer(
        max_epochs=int(epochs),
        accelerator="cpu",
        default_root_dir=out,
        callbacks=[saving],
        logger=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
    )
    trainer.fit(SimCLR(float(rate)), loader, ckpt_path="last" if resume else None)
    trainer.save_checkpoint(Path(out) / "final.ckpt")


if __name__ == "__main__":
    main()
