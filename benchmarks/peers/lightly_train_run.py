"""A small run of lightly-train with its documented settings: OUT DATA EPOCHS LEARNING_RATE [resume]."""

from __future__ import annotations

import sys

import lightly_train


def main() -> None:
    """Train."""
    out, data, epochs, rate, *resume = sys.argv[1:]
    train = getattr(lightly_train, "pretrain", None) or lightly_train.train
    train(
        out=out,
        data=data,
        model="torchvision/resnet18",
        method="simclr",
        epochs=int(epochs),
        batch_size=16,
        num_workers=0,
        accelerator="cpu",
        precision="32-true",
        transform_args={"image_size": (32, 32)},
        optim_args={"lr": float(rate)},
        seed=0,
        resume_interrupted=bool(resume),
    )


if __name__ == "__main__":
    main()
