"""The DAVIS 2017 data set on disk (Pont-Tuset et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError

_RESOLUTION = "480p"


@dataclass(frozen=True)
class Video:
    """The frames of a video, and what is right for each.

    Attributes:
        name: of its folder.
        frames: images, in order.
        masks: one a frame, each pixel the number of its object; 0 is none.
    """

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]


def read_davis(root: Path, year: str = "2017", subset: str = "val") -> list[Video]:
    """The videos that ``root/ImageSets/YEAR/SUBSET.txt`` lists.

    Raises:
        UserError: if the list, a video, or a mask lacks.
    """
    listed = root / "ImageSets" / year / f"{subset}.txt"
    if not listed.is_file():
        raise UserError(
            f"root: there is no {listed}; expected are ImageSets/{year}/{subset}.txt, JPEGImages/{_RESOLUTION}/ and "
            f"Annotations/{_RESOLUTION}/ in the folder root"
        )
    names = listed.read_text(encoding="utf-8").split()
    if not names:
        raise UserError(f"root: {listed} lists no video")
    return [_video(root, name) for name in names]


def _video(root: Path, name: str) -> Video:
    folder = root / "JPEGImages" / _RESOLUTION / name
    frames = tuple(sorted(folder.glob("*.jpg")))
    # first and last frame are not judged, and one of them is given
    if len(frames) < 3:
        raise UserError(f"root: {folder} holds {len(frames)} frames (.jpg); a video has at least 3")
    masks = tuple(root / "Annotations" / _RESOLUTION / name / f"{frame.stem}.png" for frame in frames)
    missing = [mask for mask in masks if not mask.is_file()]
    if missing:
        raise UserError(f"root: {len(missing)} masks of the video {name} are not there; the first is {missing[0]}")
    return Video(name, frames, masks)
