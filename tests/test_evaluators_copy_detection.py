"""Copy detection on a tiny data set in Copydays' layout, with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation_parts import PLAIN, ColourPatches, NoImages, freeze, write_plain
from sslkit.errors import RunError, UserError
from sslkit_evaluators.copy_detection import CopyDetection, CopyFeature
from sslkit_evaluators.whitening import learn_whitening

RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)


def copydays(root: Path) -> Path:
    """Three originals of two families; JPEG copies, of which two are swapped; a strong copy of the first family."""
    for folder, colours in (("original", (RED, GREEN, BLUE)), ("jpegqual/3", (RED, BLUE, GREEN))):
        for name, colour in zip(("2000_0", "2000_1", "2001_0"), colours, strict=True):
            write_plain(root / folder / f"{name}.jpg", colour)
    write_plain(root / "strong" / "2000_7.jpg", (200, 0, 90), (9, 30))
    return root


def evaluate(root: Path, out: Path, **options: object) -> dict[str, float]:
    with freeze(ColourPatches(), PLAIN) as frozen:
        evaluator = CopyDetection(root=str(root), size=16, **options)  # type: ignore[arg-type]
        evaluator.check(frozen.backbone, PLAIN, NoImages())
        return dict(evaluator.evaluate(frozen, NoImages(), out).values)


def test_a_small_benchmark_by_hand(tmp_path: Path) -> None:
    values = evaluate(copydays(tmp_path), tmp_path)
    assert list(values) == ["mAP_strong", "mAP_jpegqual-3", "mAP_original"]
    assert values["mAP_original"] == pytest.approx(100)
    # the strong copy is red with some blue: red (right), blue, green (right)
    assert values["mAP_strong"] == pytest.approx(100 * (1 + (1 / 2 + 2 / 3) / 2) / 2)
    # the swapped ones find their originals second or third, red finds its own at once
    swapped = [(0 + 1 / 2) / 2, (0 + 1 / 3) / 2]
    lowest, highest = (100 * (1 + 2 * ap) / 3 for ap in sorted(swapped))
    assert lowest - 1e-6 <= values["mAP_jpegqual-3"] <= highest + 1e-6


def test_distractors_are_searched_too(tmp_path: Path) -> None:
    root = copydays(tmp_path / "copydays")
    for turn in range(25):
        write_plain(tmp_path / "others" / f"{turn}.{('jpg', 'JPG', 'png')[turn % 3]}", (200, 0, 90))
    # one that cannot be read is left out and listed
    (tmp_path / "others" / "broken.jpeg").write_bytes(b"no image")
    values = evaluate(root, tmp_path, distractors=str(tmp_path / "others"))
    # 25 images like the strong copy: its originals are not among the first 20
    assert values["mAP_strong"] == 0


def test_whitening_evens_out_what_all_images_share(tmp_path: Path) -> None:
    root = copydays(tmp_path / "copydays")
    draw = np.random.default_rng(0)
    for turn in range(30):
        write_plain(tmp_path / "white" / f"{turn}.jpg", tuple(draw.integers(0, 250, 3).tolist()))
    values = evaluate(root, tmp_path, whitening=str(tmp_path / "white"))
    assert values["mAP_original"] == pytest.approx(100)
    few = evaluate(root, tmp_path, whitening=str(tmp_path / "white"), whitening_dims=2)
    assert few["mAP_original"] > 0


def test_whitened_features_have_the_same_variance_everywhere() -> None:
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = (x - x.mean(dim=0)) @ torch.diag(torch.tensor([10.0, 3.0, 1.0, 0.1], dtype=torch.float64))
    white = learn_whitening(x)(x)
    torch.testing.assert_close(white.T @ white / 500, torch.eye(4, dtype=torch.float64))
    # by falling variance: the first component is what varied most
    assert float(torch.corrcoef(torch.stack([white[:, 0], x[:, 0]]))[0, 1].abs()) > 0.999
    assert learn_whitening(x, dims=2)(x).shape == (500, 2)


def test_the_generalised_mean() -> None:
    image = torch.zeros(1, 3, 4, 8)
    image[:, :, :, 4:] = torch.tensor([0.5, 1.0, 0.0])[:, None, None]
    feature = CopyFeature(ColourPatches())(image)[0]
    torch.testing.assert_close(feature[:3], torch.tensor([0.25, 0.5, 0.0]))
    torch.testing.assert_close(feature[3:5], torch.tensor([0.5, 1.0]) * 0.5**0.25)


def test_what_lacks_is_one_sentence(tmp_path: Path) -> None:
    def check(root: Path | None, **options: object) -> None:
        evaluator = CopyDetection(root=None if root is None else str(root), **options)  # type: ignore[arg-type]
        evaluator.check(ColourPatches(), PLAIN, NoImages())

    with pytest.raises(UserError, match="root: where is Copydays"):
        check(None)
    with pytest.raises(UserError, match="original holds no images"):
        check(tmp_path)
    write_plain(tmp_path / "original/2000_0.jpg", RED)
    with pytest.raises(UserError, match="holds originals but no copies"):
        check(tmp_path)
    write_plain(tmp_path / "crops/80/2000_0.jpg", RED)
    write_plain(tmp_path / "crops/80/2000_1.jpg", RED)
    with pytest.raises(UserError, match="crops/80 holds 2 images and .*original 1"):
        check(tmp_path)
    (tmp_path / "crops/80/2000_1.jpg").unlink()
    write_plain(tmp_path / "strong/3000_0.jpg", RED)
    with pytest.raises(UserError, match="no name in original/ begins with 3000"):
        check(tmp_path)
    (tmp_path / "strong/3000_0.jpg").unlink()
    with pytest.raises(UserError, match="size: 18 is no multiple of the backbone's patch of 4; use 16"):
        check(tmp_path, size=18)
    with pytest.raises(UserError, match="distractors: .* holds no images"):
        check(tmp_path, distractors=str(tmp_path / "strong"))
    (tmp_path / "original/2000_0.jpg").write_bytes(b"")
    with freeze(ColourPatches(), PLAIN) as frozen, pytest.raises(RunError, match="1 of 1 images in .* cannot be read"):
        CopyDetection(root=str(tmp_path), size=16).evaluate(frozen, NoImages(), tmp_path)


@pytest.mark.parametrize("options", [{"size": 0}, {"gem_power": 0.0}, {"whitening_dims": 0}])
def test_options_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        CopyDetection(**options)  # type: ignore[arg-type]
