"""Small data sets in the layouts of public benchmarks, cut out of the two photographs that scikit-learn ships.

What is right is known, because every image is a view of a photograph whose objects are known.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import PIL.Image
from PIL.Image import Image, Resampling
from scipy import ndimage
from sklearn.datasets import load_sample_image

Box = tuple[float, float, float, float]


def photographs() -> dict[str, Image]:
    """The Summer Palace and a dahlia, each 640 x 427."""
    return {name: PIL.Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")}


def flower_mask() -> np.ndarray:
    """The dahlia (1) and the top of another one (2) in the second photograph, by colour; uint8 ``[H, W]``."""
    red, green, blue = np.moveaxis(load_sample_image("flower.jpg").astype(int), 2, 0)
    warm = ndimage.binary_opening((red > blue + 25) & (red > green + 10) & (red > 95), iterations=2)
    parts, count = ndimage.label(warm)
    sizes = ndimage.sum(warm, parts, range(1, count + 1))
    mask = np.zeros(warm.shape, dtype=np.uint8)
    for number, part in enumerate(np.argsort(sizes)[::-1][:2], start=1):
        mask[ndimage.binary_fill_holes(parts == part + 1)] = number
    return mask


def random_box(size: tuple[int, int], least: float, most: float, draw: np.random.Generator) -> Box:
    """A square box whose side is this share of the short side."""
    side = min(size) * draw.uniform(least, most)
    left, top = (draw.uniform(0, whole - side) for whole in size)
    return left, top, left + side, top + side


def cut(image: Image, box: Box, side: int) -> Image:
    """A box of an image, resized to a square."""
    return image.resize((side, side), Resampling.BICUBIC, box)


def crops(root: Path, train: int, test: int) -> Path:
    """``train/`` and ``test/`` with a folder for each photograph: random crops of 96 pixels."""
    draw = np.random.default_rng(0)
    for name, photo in photographs().items():
        for split, count in (("train", train), ("test", test)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for turn in range(count):
                cut(photo, random_box(photo.size, 0.25, 0.9, draw), 96).save(folder / f"{turn:04d}.png")
    return root


def voc(root: Path, images: int = 8) -> Path:
    """Views of the dahlias with their masks, in the layout of PASCAL VOC."""
    draw, photo, mask = np.random.default_rng(1), photographs()["flower"], PIL.Image.fromarray(flower_mask())
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for turn in range(images):
        share = draw.uniform(0.75, 1)
        width, height = round(photo.width * share), round(photo.height * share)
        left, top = (round(draw.uniform(0, a - b)) for a, b in ((photo.width, width), (photo.height, height)))
        box = (left, top, left + width, top + height)
        photo.crop(box).save(root / f"JPEGImages/view{turn}.jpg", quality=95)
        mask.crop(box).save(root / f"SegmentationClass/view{turn}.png")
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(f"view{turn}" for turn in range(images)))
    return root


def davis(root: Path, frames: int = 16) -> Path:
    """The camera wanders over the dahlias and comes nearer: a video of 427 x 240 pixels in the layout of DAVIS."""
    photo, mask = photographs()["flower"], PIL.Image.fromarray(flower_mask())
    for folder in ("JPEGImages", "Annotations"):
        (root / folder / "480p/dahlias").mkdir(parents=True)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("dahlias")
    for turn in range(frames):
        part = turn / (frames - 1)
        width = photo.width * (1 - 0.35 * part)
        height = width * 240 / 427
        left, top = (photo.width - width) * (0.15 + 0.6 * part), (photo.height - height) * (0.9 - 0.2 * part)
        box = (left, top, left + width, top + height)
        photo.resize((427, 240), Resampling.BICUBIC, box).save(
            root / f"JPEGImages/480p/dahlias/{turn:05d}.jpg", quality=95
        )
        mask.resize((427, 240), Resampling.NEAREST, box).save(root / f"Annotations/480p/dahlias/{turn:05d}.png")
    return root


def copydays(root: Path, originals: int = 40) -> Path:
    """Crops of both photographs and their copies: compressed, cropped to a half, turned and tinted."""
    draw = np.random.default_rng(2)
    for folder in ("original", "strong", "jpegqual/3", "crops/50"):
        (root / folder).mkdir(parents=True)
    for turn in range(originals):
        photo = photographs()["china" if turn % 2 else "flower"]
        image = cut(photo, random_box(photo.size, 0.3, 0.6, draw), 256)
        name = f"{2000 + turn}00.jpg"
        image.save(root / "original" / name, quality=95)
        image.save(root / "jpegqual/3" / name, quality=3)
        edge = 256 * (1 - 0.5**0.5) / 2
        cut(image, (edge, edge, 256 - edge, 256 - edge), 256).save(root / "crops/50" / name, quality=95)
        changed = np.asarray(image.rotate(25)).astype(float) * draw.uniform(0.4, 1.2, 3) + draw.uniform(-40, 40)
        tinted = PIL.Image.fromarray(changed.clip(0, 255).astype(np.uint8))
        tinted.save(root / "strong" / f"{2000 + turn}07.jpg", quality=50)
    return root


def revisited(root: Path, queries: int = 12, views: int = 6) -> Path:
    """Places of both photographs, searched by what lies there, in the layout of the revisited Oxford data set.

    Views that are nearly the query are easy; further ones, of another zoom or mirrored, are hard.
    """
    draw, photos = np.random.default_rng(3), photographs()
    (root / "roxford5k/jpg").mkdir(parents=True)
    listed: list[str] = []
    truth, asked = [], []

    def save(image: Image, name: str) -> None:
        image.save(root / f"roxford5k/jpg/{name}.jpg", quality=95)

    for query in range(queries):
        photo = photos["china" if query % 2 else "flower"]
        box = random_box(photo.size, 0.35, 0.5, draw)
        save(cut(photo, box, 224), f"query{query}")
        asked.append(f"query{query}")
        left, top, wide = box[0], box[1], box[2] - box[0]
        easy, hard, none = [], [], np.array([], dtype=np.int64)
        for view in range(views):
            reach = wide * (0.1 if view % 2 else 0.35)
            moved = [edge + draw.uniform(-reach, reach) for edge in (left, top)]
            side = wide * (1 if view % 2 else draw.uniform(0.7, 1.4))
            image = cut(photo, _inside((moved[0], moved[1], moved[0] + side, moved[1] + side), photo.size), 224)
            save(image if view % 4 else image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT), f"view{query}_{view}")
            (easy if view % 2 else hard).append(len(listed))
            listed.append(f"view{query}_{view}")
        truth.append({"bbx": [0, 0, 224, 224], "easy": np.array(easy), "hard": np.array(hard), "junk": none})
    file = root / "roxford5k/gnd_roxford5k.pkl"
    file.write_bytes(pickle.dumps({"imlist": listed, "qimlist": asked, "gnd": truth}, protocol=2))
    return root


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The box, moved (and shrunk if need be) until it lies in the image."""
    side = min(box[2] - box[0], *size)
    left, top = (min(max(edge, 0.0), whole - side) for edge, whole in zip(box[:2], size, strict=True))
    return left, top, left + side, top + side
