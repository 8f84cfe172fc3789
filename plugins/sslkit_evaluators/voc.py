"""The PASCAL VOC 2012 segmentation data set on disk (Everingham et al. 2010)."""

from __future__ import annotations

from pathlib import Path

from sslkit.errors import UserError


def read_voc(root: Path, subset: str = "val") -> tuple[list[Path], list[Path]]:
    """Images and masks that ``root/ImageSets/Segmentation/SUBSET.txt`` lists.

    Raises:
        UserError: if the list or files lack.
    """
    listed = root / "ImageSets" / "Segmentation" / f"{subset}.txt"
    if not listed.is_file():
        raise UserError(
            f"root: there is no {listed}; expected are ImageSets/Segmentation/{subset}.txt, JPEGImages/ and "
            "SegmentationClass/ in the folder root, as VOCdevkit/VOC2012 has them"
        )
    names = listed.read_text(encoding="utf-8").split()
    if not names:
        raise UserError(f"root: {listed} lists no image")
    images = [root / "JPEGImages" / f"{name}.jpg" for name in names]
    masks = [root / "SegmentationClass" / f"{name}.png" for name in names]
    missing = [path for path in (*images, *masks) if not path.is_file()]
    if missing:
        raise UserError(f"root: {len(missing)} files that {listed} lists are not there; the first is {missing[0]}")
    return images, masks
