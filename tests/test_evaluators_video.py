"""Video segmentation on a tiny data set in DAVIS' layout, and its measures against plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation_parts import PLAIN, ColourPatches, NoImages, freeze
from mask_datasets import SIDE, davis
from sslkit.errors import RunError, UserError
from sslkit.parts import Bands
from sslkit_evaluators.label_propagation import labels_in_full, propagated
from sslkit_evaluators.mask_picture import palette
from sslkit_evaluators.patch_grid import Frame, WholePatches, frame_size
from sslkit_evaluators.region_and_contour import contour_accuracy, over_frames, region_similarity
from sslkit_evaluators.video_segmentation import VideoSegmentation, davis_metrics, judge_video


def evaluate(root: Path, out: Path) -> tuple[dict[str, float], tuple[Path, ...]]:
    with freeze(ColourPatches(), PLAIN) as frozen:
        evaluator = VideoSegmentation(root=str(root), size=SIDE)
        evaluator.check(frozen.backbone, PLAIN, NoImages())
        found = evaluator.evaluate(frozen, NoImages(), out)
    return dict(found.values), found.artifacts


def test_squares_are_followed_and_masks_are_written(tmp_path: Path) -> None:
    values, artifacts = evaluate(davis(tmp_path / "davis"), tmp_path)
    # bilinear enlargement rounds the squares' corners: all but exact
    assert values["J_mean"] > 90
    assert values["F_mean"] > 95
    assert values["J_recall"] == values["F_recall"] == 100
    assert next(iter(values)) == "JF_mean"
    assert values["JF_mean"] == pytest.approx((values["J_mean"] + values["F_mean"]) / 2)
    assert {path.relative_to(tmp_path).as_posix() for path in artifacts} == {
        "squares0.png", *(f"masks/squares0/{turn:05d}.png" for turn in range(6)),
    }  # fmt: skip
    last = Image.open(tmp_path / "masks/squares0/00005.png")
    assert last.mode == "P"
    assert set(np.unique(np.array(last))) == {0, 1, 2}
    assert np.array(last)[12, 36] == 1
    assert Image.open(tmp_path / "squares0.png").size == (5 * 324 - 4, 320 + 20)


def test_where_the_objects_are_gone_everything_found_is_wrong(tmp_path: Path) -> None:
    values, _ = evaluate(davis(tmp_path / "davis", wrong=True), tmp_path)
    assert values["J_mean"] == values["F_mean"] == 0


def test_void_is_no_object(tmp_path: Path) -> None:
    root = davis(tmp_path / "davis")
    plain, _ = evaluate(root, tmp_path)
    for file in (root / "Annotations").rglob("*.png"):
        mask = np.array(Image.open(file))
        mask[-3:, :3] = 255
        Image.fromarray(mask).save(file)
    assert evaluate(root, tmp_path)[0] == plain
    Image.fromarray(np.where(mask > 0, 255, 0).astype(np.uint8)).save(root / "Annotations/480p/squares0/00000.png")
    with pytest.raises(RunError, match=r"00000.png: the first mask has no object \(255 is void"):
        evaluate(root, tmp_path)


def test_labels_against_the_plain_procedure() -> None:
    draw = torch.Generator().manual_seed(0)
    frames = [torch.randn(3, 4, 5, generator=draw) for _ in range(5)]
    first = torch.rand(2, 3, 4, generator=draw)
    found = list(propagated(frames, first, last_frames=2, neighbourhood=1, top=3, temperature=0.5))
    wanted = _plain_propagation(frames, first, last=2, reach=1, top=3, temperature=0.5)
    for ours, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, right)
    alone = list(propagated(frames, first, last_frames=0, neighbourhood=0, top=3))
    torch.testing.assert_close(alone[2], _plain_propagation([frames[0], frames[3]], first, 0, 99, 3, 0.1)[0])


def _plain_propagation(
    frames: list[torch.Tensor], first: torch.Tensor, last: int, reach: int, top: int, temperature: float
) -> list[torch.Tensor]:
    """Patch by patch: the most alike patches of the first frame and of the ``last`` ones before."""
    height, width = first.shape[1:]
    known = [(frames[0], first)]
    for frame in frames[1:]:
        soft = torch.zeros_like(first)
        looked_at = [known[0], *known[1:][-last:]] if last else known[:1]
        for row in range(height):
            for column in range(width):
                scored = []
                for features, labels in looked_at:
                    for r in range(max(0, row - reach), min(height, row + reach + 1)):
                        for c in range(max(0, column - reach), min(width, column + reach + 1)):
                            cosine = torch.cosine_similarity(frame[row, column], features[r, c], dim=0)
                            scored.append((float((cosine / temperature).exp()), labels[:, r, c]))
                scored.sort(key=lambda pair: -pair[0])
                total = sum(weight for weight, _ in scored[:top])
                soft[:, row, column] = sum(weight / total * label for weight, label in scored[:top])
        known.append((frame, soft))
    return [soft for _, soft in known[1:]]


def test_labels_in_full_stretch_every_class() -> None:
    soft = torch.tensor([[[0.9, 0.9, 0.6, 0.6]], [[0.1, 0.1, 0.4, 0.4]], [[0.0, 0.0, 0.0, 0.0]]])
    # the second class never reaches the first one, but is stretched to 1 on the right
    assert labels_in_full(soft, 2)[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_regions_by_hand() -> None:
    right = np.zeros((4, 4), dtype=bool)
    assert region_similarity(right, right) == 1
    found = right.copy()
    right[:2], found[1:3] = True, True
    assert region_similarity(found, right) == pytest.approx(4 / 12)


def test_contours_against_distances() -> None:
    draw = np.random.default_rng(0)
    for _ in range(5):
        masks = [np.zeros((40, 50), dtype=bool) for _ in range(2)]
        for mask in masks:
            row, column = draw.integers(2, 20, 2)
            mask[row : row + 15, column : column + 18] = True
        for tolerance in (0.008, 0.05):
            reach = np.ceil(tolerance * np.hypot(40, 50))
            ours, theirs = (np.argwhere(_plain_contour(mask)) for mask in masks)
            distances = np.sqrt(((ours[:, None] - theirs) ** 2).sum(axis=2))
            precision = (distances.min(axis=1) <= reach).mean()
            recall = (distances.min(axis=0) <= reach).mean()
            wanted = 2 * precision * recall / (precision + recall) if precision + recall else 0
            assert contour_accuracy(masks[0], masks[1], tolerance) == pytest.approx(wanted)
    empty = np.zeros((40, 50), dtype=bool)
    assert contour_accuracy(empty, empty) == 1
    assert contour_accuracy(empty, masks[0]) == contour_accuracy(masks[0], empty) == 0


def _plain_contour(mask: np.ndarray) -> np.ndarray:
    contour = np.zeros_like(mask)
    height, width = mask.shape
    for row in range(height):
        for column in range(width):
            below, beside = min(row + 1, height - 1), min(column + 1, width - 1)
            others = {mask[row, beside], mask[below, column], mask[below, beside]}
            contour[row, column] = others != {mask[row, column]}
    return contour


def test_mean_recall_and_decay_by_hand() -> None:
    mean, recall, decay = over_frames(np.array([1.0, 0.9, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]))
    assert (mean, recall) == pytest.approx((4.8 / 9, 4 / 9))
    # quarters share their ends: frames 0 to 2 and 6 to 8
    assert decay == pytest.approx(0.9 - 0.2)


def test_first_and_last_frame_do_not_count() -> None:
    right = np.zeros((5, 6, 6), dtype=np.uint8)
    right[:, 1:4, 1:4] = 1
    found = right.copy()
    found[[0, 4]] = 0
    (scores,) = judge_video(found, right)
    assert scores.shape == (2, 3)
    assert davis_metrics([scores])["JF_mean"] == 100


def test_sizes_of_frames_and_images() -> None:
    assert frame_size(854, 480, 480, 16) == (832, 480)
    assert frame_size(480, 854, 480, 8) == (480, 832)
    assert frame_size(910, 480, 480, 14) == (910, 480)
    image = Image.fromarray(np.arange(90 * 70 * 3, dtype=np.uint8).reshape(70, 90, 3))
    resized = Frame(64, 8)(image, 0)
    assert resized.size == (64, 64)
    grey = Frame(64, 8)(image.getchannel(1), 0)
    assert np.array_equal(np.array(grey), np.array(resized)[:, :, 1])
    bands = Frame(64, 8)(Bands((image.getchannel(0), image.getchannel(1))), 0)
    assert isinstance(bands, Bands)
    assert np.array_equal(bands.array()[1], np.array(grey))
    assert Frame(64, 8)(resized, 0) is resized
    assert WholePatches(None, 16)(image, 0).size == (96, 64)
    assert WholePatches(32, 16)(image, 0).size == (48, 32)


def test_the_palette_is_that_of_voc() -> None:
    assert palette()[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert palette()[255].tolist() == [224, 224, 192]


def test_what_lacks_is_one_sentence(tmp_path: Path) -> None:
    def check(root: Path | None, size: int = SIDE) -> None:
        VideoSegmentation(root=None if root is None else str(root), size=size).check(ColourPatches(), PLAIN, NoImages())

    with pytest.raises(UserError, match="root: where is DAVIS"):
        check(None)
    with pytest.raises(UserError, match="there is no .*ImageSets/2017/val.txt"):
        check(tmp_path)
    root = davis(tmp_path, frames=3)
    with pytest.raises(UserError, match="size: 30 is no multiple of the backbone's patch of 4; use 28"):
        check(root, size=30)
    (root / "JPEGImages/480p/squares0/00001.jpg").write_bytes(b"no image")
    with pytest.raises(RunError, match="00001.jpg: .*a video needs all of its frames"):
        evaluate(root, tmp_path)
    Image.new("RGB", (4, 4)).save(root / "Annotations/480p/squares0/00002.png")
    with pytest.raises(RunError, match="00002.png: is of mode RGB"):
        evaluate(root, tmp_path)
    (root / "Annotations/480p/squares0/00002.png").unlink()
    with pytest.raises(UserError, match="1 masks of the video squares0 are not there"):
        check(root)
    (root / "JPEGImages/480p/squares0/00002.jpg").unlink()
    with pytest.raises(UserError, match="holds 2 frames"):
        check(root)
    (root / "ImageSets/2017/val.txt").write_text("")
    with pytest.raises(UserError, match="lists no video"):
        check(root)


@pytest.mark.parametrize("options", [{"size": 0}, {"last_frames": -1}, {"neighbourhood": -1}, {"top": 0}])
def test_options_are_checked(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        VideoSegmentation(**options)  # type: ignore[arg-type]
