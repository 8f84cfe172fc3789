"""Makes a folder of JPEGs in ImageNet's layout and usual size, to try paper-size recipes without the data.

python benchmarks/jpeg_folder.py DIR --train 512 --val 64
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 8


def image(generator: np.random.Generator, label: int, width: int = 500) -> Image.Image:
    """A 4:3 picture of soft coloured blobs, whose tint and scale tell its class; 500 x 375 is about 40 kB as JPEG."""
    cells = 4 + 3 * (label % 4)
    blobs = generator.integers(0, 200, (cells, cells, 3), dtype=np.uint8)
    blobs[..., label % 3] //= 2
    large = np.asarray(Image.fromarray(blobs).resize((width, width * 3 // 4), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = generator.normal(0, 12, large.shape)
    return Image.fromarray((large + grain).clip(0, 255).astype(np.uint8))


def write_few(root: Path, count: int, width: int = 500) -> list[Path]:
    """So many files below ``root/train`` by class, of 64 pictures that stand there as often as needed; their paths."""
    drawn = [image(np.random.default_rng(index), index % CLASSES, width) for index in range(min(count, 64))]
    files = []
    for index in range(count):
        place = root / "train" / f"class{index % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        files.append(place / f"{index:05}.jpg")
        drawn[index % len(drawn)].save(files[-1], quality=90)
    return files


def main() -> None:
    """Write DIR/train and DIR/val, one folder a class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--train", type=int, default=512, help="images to train on")
    parser.add_argument("--val", type=int, default=64, help="images to test with")
    args = parser.parse_args()
    for split, images in (("train", args.train), ("val", args.val)):
        for index in range(images):
            label = index % CLASSES
            folder = args.dir / split / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            picture = image(np.random.default_rng((split == "val", index)), label)
            picture.save(folder / f"{index:06d}.jpg", quality=90)


if __name__ == "__main__":
    main()
