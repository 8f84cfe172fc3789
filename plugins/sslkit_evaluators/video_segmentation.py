"""Objects followed through videos: the DAVIS 2017 benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from PIL.Image import Resampling
from torch import Tensor

from sslkit.errors import RunError, UserError
from sslkit.parts import (
    Backbone,
    Dataset,
    Evaluator,
    Frozen,
    ImageFiles,
    Metrics,
    PathOption,
    Preprocess,
    gather_items,
    rank,
    user_path,
    world_size,
)
from sslkit_evaluators.davis import Video, read_davis
from sslkit_evaluators.gathered_files import write_gathered
from sslkit_evaluators.index_masks import read_index_mask
from sslkit_evaluators.label_propagation import labels_in_full, propagated
from sslkit_evaluators.mask_picture import filmstrip, mask_png
from sslkit_evaluators.patch_grid import Frame, check_whole_patches, frame_size
from sslkit_evaluators.region_and_contour import contour_accuracy, over_frames, region_similarity

#: Pixels that belong to nothing that is judged.
_VOID = 255


class VideoSegmentation(Evaluator):
    """Carries the objects' masks of a video's first frame to all others by the likeness of frozen patch features:
    nothing is trained. As the reference DINO's eval_video_segmentation.py does it on DAVIS 2017, with the measures of
    the official toolkit computed here.

    Gives ``JF_mean``, and mean, recall and decay of ``J`` (intersection over union) and ``F`` (contours), in percent,
    over all objects; the first frame and the last are not judged. Writes a picture for each video, and under
    ``masks/`` the masks as the official toolkit reads them. Videos are shared over ranks. Brings its own images: no
    ``--data`` is needed. Needs the capability ``patches``.

    Args:
        root: the folder with ``JPEGImages/480p/``, ``Annotations/480p/`` and ``ImageSets/``.
        year: of the list ``ImageSets/YEAR/SUBSET.txt``.
        subset: which list.
        size: short side that frames are resized to in pixels, a multiple of the patch.
        last_frames: how many frames before a frame are looked at, beside the first.
        neighbourhood: in rows and columns of patches, how far away patches are looked at; 0: everywhere.
        top: how many patches, of all frames that are looked at, a label is made of.
    """

    needs = frozenset({"patches"})

    def __init__(
        self,
        root: PathOption | None = None,
        year: str = "2017",
        subset: str = "val",
        size: int = 480,
        last_frames: int = 7,
        neighbourhood: int = 12,
        top: int = 5,
    ) -> None:
        for key, value, least in (
            ("size", size, 1), ("last_frames", last_frames, 0), ("neighbourhood", neighbourhood, 0), ("top", top, 1),
        ):  # fmt: skip
            if value < least:
                raise UserError(f"{key}: {value} must be at least {least}")
        self.root, self.year, self.subset, self.size = root, year, subset, size
        self.last_frames, self.neighbourhood, self.top = last_frames, neighbourhood, top

    def check(self, backbone: Backbone, preprocess: Preprocess, data: Dataset) -> None:
        """See :class:`sslkit.parts.Evaluator`."""
        check_whole_patches(self.size, backbone.stride)
        self._read()

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        """See :class:`sslkit.parts.Evaluator`."""
        scores: list[tuple[str, np.ndarray]] = []
        files: list[tuple[str, bytes]] = []
        for video in self._read()[rank() :: world_size()]:
            found, right = self._follow(frozen, video)
            scores.extend((video.name, judged) for judged in judge_video(found, right))
            files.append((f"{video.name}.png", filmstrip(video.frames, found)))
            names = [f"masks/{video.name}/{frame.stem}.png" for frame in video.frames]
            files.extend((name, mask_png(mask)) for name, mask in zip(names, found, strict=True))
        artifacts = write_gathered(out_dir, files)
        per_object = sorted(gather_items(scores), key=lambda score: score[0])
        return Metrics(davis_metrics([judged for _, judged in per_object]), artifacts)

    def _read(self) -> list[Video]:
        if self.root is None:
            raise UserError("root: where is DAVIS? Give the folder with JPEGImages/, Annotations/ and ImageSets/")
        return read_davis(user_path(self.root), self.year, self.subset)

    def _follow(self, frozen: Frozen, video: Video) -> tuple[np.ndarray, np.ndarray]:
        """The masks that are found and those that are right, each uint8 ``[T, H, W]``; the first is given."""
        right = np.stack([read_index_mask(mask) for mask in video.masks])
        # as in the benchmark's own toolkit (davis2017), which counts objects after that
        right[right == _VOID] = 0
        if not right[0].any():
            raise RunError(f"{video.masks[0]}: the first mask has no object ({_VOID} is void, and 0 is the background)")
        height, width = right.shape[1:]
        patch = frozen.backbone.stride
        columns, rows = (side // patch for side in frame_size(width, height, self.size, patch))
        small = PIL.Image.fromarray(right[0]).resize((columns, rows), Resampling.NEAREST)
        first = F.one_hot(torch.from_numpy(np.array(small)).long(), int(right[0].max()) + 1).permute(2, 0, 1)
        found = [right[0]]
        for soft in propagated(
            self._features(frozen, video),
            first.float().to(frozen.device),
            last_frames=self.last_frames,
            neighbourhood=self.neighbourhood,
            top=self.top,
        ):
            labels = labels_in_full(soft, patch).to(torch.uint8).cpu().numpy()
            found.append(np.array(PIL.Image.fromarray(labels).resize((width, height), Resampling.NEAREST)))
        return np.stack(found), right

    def _features(self, frozen: Frozen, video: Video) -> Iterator[Tensor]:
        """Patch features ``[h, w, D]`` of one frame after the other."""
        images, patch = ImageFiles(video.frames), frozen.backbone.stride
        for index in range(len(images)):
            try:
                image = frozen.image(images, index, Frame(self.size, patch))
            except OSError as error:
                raise RunError(f"{error}: a video needs all of its frames") from error
            tokens = frozen.backbone(image, patches=True)
            yield tokens.patches[0].float().unflatten(0, (image.shape[2] // patch, image.shape[3] // patch))


def judge_video(found: np.ndarray, right: np.ndarray) -> list[np.ndarray]:
    """J and F of every object of the first mask, ``[2, T-2]`` each: first and last frame do not count.

    Args:
        found: uint8 ``[T, H, W]``.
        right: uint8 ``[T, H, W]``.
    """
    scores = []
    for number in range(1, int(right[0].max()) + 1):
        pairs = [(ours == number, theirs == number) for ours, theirs in zip(found[1:-1], right[1:-1], strict=True)]
        scores.append(
            np.array([[measure(*pair) for pair in pairs] for measure in (region_similarity, contour_accuracy)])
        )
    return scores


def davis_metrics(per_object: Sequence[np.ndarray]) -> dict[str, float]:
    """The benchmark's numbers in percent, from what :func:`judge_video` gave for every object of every video."""
    values: dict[str, float] = {}
    for row, measure in enumerate("JF"):
        columns = np.array([over_frames(scores[row]) for scores in per_object]).mean(axis=0)
        for name, value in zip(("mean", "recall", "decay"), columns, strict=True):
            values[f"{measure}_{name}"] = 100 * float(value)
    return {"JF_mean": (values["J_mean"] + values["F_mean"]) / 2} | values
