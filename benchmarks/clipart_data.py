"""Make plugins/sslkit_vision/clipart.zip, the images of the data set part ``clipart``, from Debian's openclipart-png.

    apt-get install openclipart-png                  # 131 MB, public domain
    python benchmarks/clipart_data.py
    python benchmarks/clipart_data.py --root DIR/usr/share/openclipart/png --out clipart.zip

The same package and the same Pillow give the same bytes: every choice is by the hash of a file's name. What is done and
why stands in plugins/sslkit_vision/clipart.md, beside the file.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, features

DEBIAN = Path("/usr/share/openclipart/png")
OUT = Path(__file__).parents[1] / "plugins" / "sslkit_vision" / "clipart.zip"
#: Folders whose images have no class: leftovers, and icons, whose folder names what they are used for.
LEFT_OUT = frozenset({"duplicates", "unsorted", "computer"})
#: Classes that are named for what they show; all others are named as their folder.
NAMES = {"signs_and_symbols": "signs", "special": "patterns"}
SIDE, MARGIN = 64, 2
#: Pixels whose channels are all above this are the white page.
WHITE = 239
#: Drawings that are smaller than this on their page are blurred when enlarged.
LEAST_SIDE = 32
#: Images whose thumbnails differ by less, as the root of the mean square over 16 x 16 x 3 values of 0..255, are copies.
NEAR = 10.0
LEAST, MOST = 100, 300
TEST_SHARE = 0.2


def by_name(purpose: str, name: str) -> bytes:
    """A key to sort by that depends on the name alone."""
    return hashlib.blake2b(f"clipart:{purpose}:{name}".encode()).digest()


def drawing(file: Path) -> Image.Image | None:
    """The drawing on white, its margins trimmed, in a square of 64 pixels; None if there is nothing to see."""
    rgba = Image.open(file).convert("RGBA")
    page = Image.new("RGBA", rgba.size, "white")
    page.alpha_composite(rgba)
    rgb = page.convert("RGB")
    darkest = ImageChops.darker(ImageChops.darker(*rgb.split()[:2]), rgb.getchannel(2))
    box = darkest.point([255] * (WHITE + 1) + [0] * (255 - WHITE)).getbbox()
    if box is None or max(box[2] - box[0], box[3] - box[1]) < LEAST_SIDE:
        return None
    trimmed = rgb.crop(box)
    side = max(trimmed.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(trimmed, ((side - trimmed.width) // 2, (side - trimmed.height) // 2))
    whole = Image.new("RGB", (SIDE, SIDE), "white")
    whole.paste(square.resize((SIDE - 2 * MARGIN,) * 2, Image.Resampling.LANCZOS), (MARGIN, MARGIN))
    return whole


def read_all(root: Path) -> Iterator[tuple[str, Image.Image]]:
    """Name and drawing of every file; links, which are copies, and what cannot be read are left out."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    for file in sorted(root.rglob("*.png")):
        name = file.relative_to(root).with_suffix("").as_posix()
        if file.is_symlink() or LEFT_OUT & set(name.split("/")):
            continue
        try:
            image = drawing(file)
        except (OSError, Image.DecompressionBombError) as error:  # three have more than 200 million pixels
            print(f"left out: {name}: {error}")
            continue
        if image is not None:
            yield name, image


def without_copies(images: dict[str, Image.Image]) -> list[str]:
    """The names, in the order of their hashes, whose thumbnails are near none that came before."""
    names = sorted(images, key=lambda name: by_name("copy", name))
    thumbnails = [images[name].resize((16, 16), Image.Resampling.BOX) for name in names]
    # whole numbers in float64: the products are exact, so that no machine decides otherwise
    pixels = np.stack([np.asarray(thumbnail, dtype=np.float64).ravel() for thumbnail in thumbnails])
    squares = np.square(pixels).sum(axis=1)
    near = squares[:, None] + squares - 2 * (pixels @ pixels.T) < NEAR**2 * pixels.shape[1]
    kept: list[int] = []
    for index in range(len(names)):
        if not near[index, kept].any():
            kept.append(index)
    return [names[index] for index in kept]


def class_and_name(name: str) -> tuple[str, str]:
    """The class of a file, and its name within it."""
    folder, _, rest = name.partition("/")
    if folder == "signs_and_symbols" and rest.startswith("flags/"):
        return "flags", rest.removeprefix("flags/")
    return NAMES.get(folder, folder), rest


def chosen(names: Sequence[str]) -> dict[str, str]:
    """Name in the archive -> name of the file: classes of 100 or more, at most 300 each, a fifth to test with."""
    classes: dict[str, list[str]] = defaultdict(list)
    for name in names:
        classes[class_and_name(name)[0]].append(name)
    places = {}
    for label, members in classes.items():
        if len(members) < LEAST:
            continue
        members = sorted(members, key=lambda name: by_name("choice", name))[:MOST]
        members.sort(key=lambda name: by_name("split", name))
        test = round(len(members) * TEST_SHARE)
        for number, name in enumerate(members):
            split = "test" if number < test else "train"
            places[f"{split}/{label}/{class_and_name(name)[1]}.webp"] = name
    return places


def write(out: Path, images: dict[str, Image.Image], places: dict[str, str]) -> None:
    """An archive of lossless WebP files, in the order of their hashes, so that the first n are a sample."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for place in sorted(places, key=lambda place: by_name("order", place)):
            data = io.BytesIO()
            images[places[place]].save(data, "WEBP", lossless=True)
            archive.writestr(zipfile.ZipInfo(place), data.getvalue())


def main() -> None:
    """Read, choose, write, and print what there is of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=DEBIAN, help="folder of the package's PNG files")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    images = dict(read_all(args.root))
    names = without_copies(images)
    places = chosen(names)
    write(args.out, images, places)
    counts = Counter(tuple(place.split("/")[:2]) for place in places)
    print(f"{len(images)} drawings, {len(names)} without copies, {len(places)} taken, {args.out.stat().st_size} bytes")
    for label in sorted({label for _, label in counts}):
        print(f"{label:15} {counts['train', label]:4} train {counts['test', label]:4} test")
    print(f"Pillow {Image.__version__}, WebP {features.version('webp')}")


if __name__ == "__main__":
    main()
