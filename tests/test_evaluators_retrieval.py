"""Retrieval on a tiny data set in the layout of the revisited benchmark, against hand-made and plain numpy numbers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from evaluation_parts import PLAIN, ColourPatches, NoImages, freeze, write_plain
from sslkit.errors import RunError, UserError
from sslkit_evaluators.image_sizes import Within
from sslkit_evaluators.multiscale import SCALES, PooledFeature
from sslkit_evaluators.plain_pickle import read_plain_pickle
from sslkit_evaluators.ranked_lists import Wanted, average_precision, judge_rankings
from sslkit_evaluators.retrieval import Retrieval

RED, ORANGE, YELLOW, GREEN, BLUE = (250, 0, 0), (250, 120, 0), (250, 250, 0), (0, 250, 0), (0, 0, 250)


def revisited(root: Path, **changes: Any) -> Path:
    """Five images of one colour each, and one red query for which orange is easy, yellow hard and blue junk."""
    folder = root / "roxford5k"
    names = ["red", "orange", "yellow", "green", "blue"]
    for name, colour in zip(names, (RED, ORANGE, YELLOW, GREEN, BLUE), strict=True):
        write_plain(folder / "jpg" / f"{name}.jpg", colour)
    write_plain(folder / "jpg" / "query.jpg", (240, 10, 10), (40, 20))
    truth = {"bbx": [1.0, 2.0, 30.0, 18.0], "easy": np.array([1]), "hard": [2], "junk": np.array([0, 4])}
    listed = {"imlist": names, "qimlist": ["query"], "gnd": [truth]} | changes
    (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(listed, protocol=2))
    return root


def test_average_precision_by_hand() -> None:
    # one of two found, first: the curve falls from 1 to 1 over the first half
    assert average_precision([0], 2) == pytest.approx(0.5)
    # at rank 1: precision 0 before, 1/2 after
    assert average_precision([1], 1) == pytest.approx(0.25)
    assert average_precision([], 3) == 0


def test_rankings_against_the_benchmarks_own_procedure() -> None:
    draw = np.random.default_rng(0)
    order = np.stack([draw.permutation(30) for _ in range(7)], axis=1)
    wanted = []
    for _ in range(7):
        chosen = draw.permutation(30)[: draw.integers(4, 12)]
        wanted.append(Wanted(chosen[:3], chosen[3:]))
    wanted[2] = Wanted(np.array([], dtype=np.int64), np.array([1]))
    found = judge_rankings(order, wanted)
    assert np.isnan(found.average_precisions[2])
    kept = [query for query in range(7) if query != 2]
    by_hand = [_plain_average_precision(order[:, query].tolist(), wanted[query]) for query in kept]
    np.testing.assert_allclose(found.average_precisions[kept], [ap for ap, _ in by_hand])
    np.testing.assert_allclose(found.precisions, np.mean([precisions for _, precisions in by_hand], axis=0))
    assert found.mean == pytest.approx(np.mean([ap for ap, _ in by_hand]))


def _plain_average_precision(order: list[int], wanted: Wanted) -> tuple[float, list[float]]:
    """Walk down the list; junk takes no place in it."""
    place, hits, total, places = 0, 0, 0.0, []
    for image in order:
        if image in wanted.ignored:
            continue
        if image in wanted.right:
            before = hits / place if place else 1.0
            hits += 1
            total += (before + hits / (place + 1)) / 2
            places.append(place + 1)
        place += 1
    cuts = [min(max(places), cut) for cut in (1, 5, 10)]
    return total / len(wanted.right), [sum(p <= cut for p in places) / cut for cut in cuts]


def test_a_small_benchmark_by_hand(tmp_path: Path) -> None:
    with freeze(ColourPatches(), PLAIN) as frozen:
        metrics = Retrieval(root=str(revisited(tmp_path)), size=12).evaluate(frozen, NoImages(), tmp_path)
    # without junk the ranking is orange, yellow, green: both are right, and first; Hard also leaves orange out
    assert metrics.values == pytest.approx(
        dict.fromkeys(["mAP_M", "mAP_H", *(f"mP{cut}_{p}" for p in "MH" for cut in (1, 5, 10))], 100.0)
    )
    changed = revisited(tmp_path, gnd=[{"bbx": [0, 0, 9, 9], "easy": [3], "hard": [2], "junk": []}])
    with freeze(ColourPatches(), PLAIN) as frozen:
        values = Retrieval(root=str(changed)).evaluate(frozen, NoImages(), tmp_path).values
    # red, orange, yellow (hard), green (easy), blue
    assert values["mAP_M"] == pytest.approx(100 * ((0 + 1 / 3) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    assert values["mAP_H"] == pytest.approx(100 * (0 + 1 / 3) / 2)
    assert (values["mP1_M"], values["mP5_M"], values["mP5_H"]) == pytest.approx((0, 50, 100 / 3))
    assert next(iter(values)) == "mAP_M"


def test_images_keep_their_shape_and_queries_can_be_cut_out() -> None:
    image = Image.new("RGB", (40, 20))
    assert Within(16)(image, 0).size == (16, 8)
    assert Within(64)(image, 0).size == (40, 20)
    assert Within(64, ((1.0, 2.0, 30.0, 18.0),))(image, 0).size == (29, 16)
    assert image.size == (40, 20)


def test_several_scales_of_an_image_that_is_no_whole_number_of_patches() -> None:
    net, image = ColourPatches(), torch.rand(1, 3, 23, 18)
    parts = []
    for scale in (1, 0.5**0.5, 0.5):
        scaled = image if scale == 1 else F.interpolate(image, scale_factor=scale, mode="bilinear")
        height, width = (side // 4 * 4 for side in scaled.shape[2:])
        parts.append(scaled[:, :, :height, :width].mean(dim=(2, 3)))
    mean = sum(parts)
    torch.testing.assert_close(PooledFeature(net, SCALES)(image), mean / mean.norm())


def test_a_pickle_that_names_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (tmp_path / "touched",)  # type: ignore[return-value]

    file = tmp_path / "gnd.pkl"
    file.write_bytes(pickle.dumps({"imlist": Harmful()}))
    with pytest.raises(UserError, match="cannot be read as plain data: it names pathlib"):
        read_plain_pickle(file)
    assert not (tmp_path / "touched").exists()
    for content in (b"", b"no pickle", pickle.dumps([1, 2])[:-3]):
        file.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as plain data"):
            read_plain_pickle(file)


def test_pickles_of_old_pythons_and_numpys_are_read(tmp_path: Path) -> None:
    file = tmp_path / "gnd.pkl"
    arrays = {"a": np.arange(3), "b": [np.int64(7), "name", 0.5], "none": np.array([], dtype=np.int64)}
    for protocol in range(6):
        content = pickle.dumps(arrays, protocol=protocol)
        # up to protocol 3, names are text up to the end of a line: numpy 1 wrote them so
        for written in [content] + ([content.replace(b"numpy._core.", b"numpy.core.")] if protocol <= 3 else []):
            file.write_bytes(written)
            found = read_plain_pickle(file)
            assert found["a"].tolist() == [0, 1, 2]
            assert found["b"] == [7, "name", 0.5]
            assert found["none"].shape == (0,)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gnd": [{"easy": [0]}]}, "is no list of the revisited benchmark"),
        ({"gnd": [{"bbx": [], "easy": [5], "hard": [], "junk": []}]}, "index 5 of 5 images"),
        ({"qimlist": []}, "lists 5 images, 0 queries"),
        ({"qimlist": ["lost"]}, "1 images that .* lists are not there; the first is .*lost.jpg"),
    ],
)
def test_what_lacks_is_one_sentence(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    evaluator = Retrieval(root=str(revisited(tmp_path, **changes)))
    with pytest.raises(UserError, match=said):
        evaluator.check(ColourPatches(), PLAIN, NoImages())


def test_no_root_no_data_set_and_a_damaged_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="root: where is rparis6k"):
        Retrieval(dataset="rparis6k").check(ColourPatches(), PLAIN, NoImages())
    with pytest.raises(UserError, match="there is no .*gnd_rparis6k.pkl"):
        Retrieval(root=str(tmp_path), dataset="rparis6k").check(ColourPatches(), PLAIN, NoImages())
    root = revisited(tmp_path)
    (root / "roxford5k/jpg/blue.jpg").write_bytes(b"no image")
    with freeze(ColourPatches(), PLAIN) as frozen, pytest.raises(RunError, match="1 of the benchmark's 5 images"):
        Retrieval(root=str(root)).evaluate(frozen, NoImages(), tmp_path)
    with pytest.raises(UserError, match="size: 0"):
        Retrieval(size=0)
