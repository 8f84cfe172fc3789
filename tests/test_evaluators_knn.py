"""k-NN: the golden numbers exactly, a plain reference, and queries that are transformed by key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation_parts import Patterns, Splits, freeze, tiny_conv
from sslkit.errors import RunError, UserError
from sslkit.parts import generator
from sslkit_evaluators import knn_vote
from sslkit_evaluators.knn import KNN
from sslkit_evaluators.knn_vote import _coarse, _ranked_anew, knn_hits
from sslkit_evaluators.query_transform import QueryTransform
from sslkit_evaluators.random_crop import random_box

GOLDEN = np.load(Path(__file__).parent / "data" / "dino_a.npz")


def golden(key: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[f"knn/{key}"])


def reference(bank, bank_labels, queries, query_labels, k, temperature):
    """The definition, query by query, in float64."""
    bank, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
    classes = 1 + max(bank_labels.max(), query_labels.max())
    top1 = top5 = 0
    for query, label in zip(queries, query_labels, strict=True):
        similarity = bank @ query
        votes = np.zeros(classes)
        for neighbour in np.argsort(-similarity)[:k]:
            votes[bank_labels[neighbour]] += np.exp(similarity[neighbour] / temperature)
        ranked = np.argsort(-votes, kind="stable")
        top1 += ranked[0] == label
        top5 += label in ranked[: min(5, k)]
    return 100 * top1 / len(queries), 100 * top5 / len(queries)


@pytest.mark.parametrize("chunk", [1, 64, 1024])
def test_golden_numbers_exactly(chunk: int) -> None:
    ks = GOLDEN["knn/k"].tolist()
    bank = golden("train_x")
    before = bank.clone()
    found = knn_hits(bank, golden("train_y"), golden("test_x"), golden("test_y"), ks=ks, temperature=0.07, chunk=chunk)
    np.testing.assert_array_equal([found[k] for k in ks], GOLDEN["knn/top1_top5"])
    assert torch.equal(bank, before)


@pytest.mark.parametrize("temperature", [0.004, 0.07, 2.0])
@pytest.mark.parametrize("classes", [2, 3, 20])
def test_plain_reference(classes: int, temperature: float) -> None:
    draw = np.random.default_rng(classes)
    labels, asked = draw.integers(0, classes, 90), draw.integers(0, classes, 41)
    centres = draw.normal(size=(classes, 6))
    x, queries = centres[labels] + draw.normal(size=(90, 6)), centres[asked] + draw.normal(size=(41, 6))
    tensors = [torch.from_numpy(array) for array in (x, labels, queries, asked)]
    found = knn_hits(*tensors, ks=[7, 1, 90, 3], temperature=temperature, chunk=10)
    for k in (1, 3, 7, 90):
        assert found[k] == pytest.approx(reference(x, labels, queries, asked, k, temperature)), k


def _clusters(spread: float) -> list[torch.Tensor]:
    """Five crowded clusters: bank, labels, queries and their labels."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(5, 24, generator=draw)
    labels, asked = torch.randint(0, 5, (600,), generator=draw), torch.randint(0, 5, (150,), generator=draw)
    bank, queries = (centres[of] + spread * torch.randn(len(of), 24, generator=draw) for of in (labels, asked))
    return [3 * bank, labels, queries, asked]


@pytest.mark.parametrize("at_a_time", [1, 7, 2**20])
def test_candidates_in_bf16_are_ranked_as_in_float32(at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn_vote, "_RANKED", at_a_time * 40 * 24)
    data = _clusters(spread=1.0)
    plain, coarse = (knn_hits(*data, ks=[1, 20], temperature=0.07, chunk=70, bf16=bf16) for bf16 in (False, True))
    assert coarse == plain
    # in float64, where no two similarities are equal but for rounding
    bank, queries = data[0].double(), torch.nn.functional.normalize(data[2].double(), dim=1)
    units = torch.nn.functional.normalize(bank, dim=1)
    similarity, near = _ranked_anew(queries, bank, bank.norm(dim=1), _coarse(bank), 20)
    expected = (queries @ units.T).topk(20, dim=1)
    torch.testing.assert_close(similarity, expected.values)
    assert torch.equal(near, expected.indices)


def test_bf16_misses_only_neighbours_that_it_cannot_tell_apart() -> None:
    bank, _, queries, _ = _clusters(spread=0.01)
    units, queries = (torch.nn.functional.normalize(x, dim=1) for x in (bank, queries))
    similarity, _ = _ranked_anew(queries, bank, bank.norm(dim=1), _coarse(bank), 20)
    missing = (queries @ units.T).topk(20, dim=1).values - similarity
    assert 0 < missing.max() < 0.002


def test_a_bank_smaller_than_the_candidates() -> None:
    data = _clusters(spread=1.0)
    found = knn_hits(*data, ks=[600], temperature=0.07, chunk=70, bf16=True)
    assert found == knn_hits(*data, ks=[600], temperature=0.07, chunk=70)


def test_a_class_that_only_the_test_images_have_and_a_zero_feature() -> None:
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    queries = torch.tensor([[2.0, 0.1], [0.0, 0.0]])
    found = knn_hits(bank, torch.tensor([0, 1, 1]), queries, torch.tensor([0, 4]), ks=[1, 3], temperature=0.07, chunk=8)
    assert found[1] == (50.0, 50.0)
    assert found[3][0] == 50.0


def test_evaluate_gives_a_number_for_every_k(tmp_path: Path) -> None:
    data = Splits(Patterns(40), Patterns(21, salt=1))
    with freeze(tiny_conv()) as frozen:
        values = KNN(k=(1, 5, 40)).evaluate(frozen, data, tmp_path).values
        bank, asked = frozen.features(data.train), frozen.features(data.test)
    assert set(values) == {f"k{k}_top{n}" for k in (1, 5, 40) for n in (1, 5)}
    arrays = [tensor.numpy() for tensor in (bank.x, bank.labels, asked.x, asked.labels)]
    assert values["k5_top1"] == pytest.approx(reference(*arrays, 5, 0.07)[0])
    assert list(tmp_path.iterdir()) == []


def test_raw_pixels_are_judged_beside(tmp_path: Path) -> None:
    data = Splits(Patterns(40), Patterns(21, salt=1))
    with freeze(tiny_conv()) as frozen:
        values = KNN(k=(5,), raw_pixels=True).evaluate(frozen, data, tmp_path).values
        pixels = [
            frozen.batch(images, list(range(len(images)))).flatten(1).numpy() for images in (data.train, data.test)
        ]
    assert set(values) == {"k5_top1", "k5_top5", "raw_pixels_k5_top1", "raw_pixels_k5_top5"}
    labels = [np.arange(len(images)) % 4 for images in (data.train, data.test)]
    expected = reference(pixels[0], labels[0], pixels[1], labels[1], 5, 0.07)
    assert (values["raw_pixels_k5_top1"], values["raw_pixels_k5_top5"]) == pytest.approx(expected)


def test_a_k_larger_than_the_bank_names_both_numbers(tmp_path: Path) -> None:
    data = Splits(Patterns(12, unreadable=(3,)), Patterns(4, salt=1))
    with freeze(tiny_conv()) as frozen, pytest.raises(UserError, match="k: 20 neighbours are more than the 11 train"):
        KNN(k=(5, 20)).evaluate(frozen, data, tmp_path)


def test_no_readable_test_image_is_an_error(tmp_path: Path) -> None:
    data = Splits(Patterns(12), Patterns(2, salt=1, unreadable=(0, 1)))
    with freeze(tiny_conv()) as frozen, pytest.raises(RunError, match="no labelled test image"):
        KNN(k=(5,)).evaluate(frozen, data, tmp_path)


def test_transformed_queries_are_keyed_and_the_bank_stays_clean(tmp_path: Path) -> None:
    data = Splits(Patterns(60, noise=10.0), Patterns(40, salt=1, noise=10.0))

    def judged(seed: int, **options: object) -> dict[str, float]:
        with freeze(tiny_conv(), seed=seed) as frozen:
            return dict(KNN(k=(5,), raw_pixels=True, **options).evaluate(frozen, data, tmp_path).values)

    clean = judged(0)
    hard = judged(0, query_scale=(0.3, 0.6), query_degrees=45.0)
    assert set(hard) == set(clean)
    assert hard["raw_pixels_k5_top1"] < clean["raw_pixels_k5_top1"]
    assert judged(0, query_scale=(0.3, 0.6), query_degrees=45.0) == hard
    assert judged(1, query_scale=(0.3, 0.6), query_degrees=45.0) != hard
    # a rotation by nothing and a crop of everything change what is asked very little
    assert judged(0, query_degrees=1e-9) == clean


def test_repeats_are_averaged(tmp_path: Path) -> None:
    data = Splits(Patterns(60), Patterns(40, salt=1))
    with freeze(tiny_conv()) as frozen:
        values = KNN(k=(5,), query_degrees=90.0, query_repeats=3).evaluate(frozen, data, tmp_path).values
        bank = frozen.features(data.train)
        single = []
        for repeat in range(3):
            asked = frozen.features(data.test, transform=QueryTransform(None, 90.0, 8, 0, repeat))
            single.append(
                knn_hits(bank.x, bank.labels, asked.x, asked.labels, ks=[5], temperature=0.07, chunk=1024)[5][0]
            )
    assert len(set(single)) > 1
    assert values["k5_top1"] == pytest.approx(np.mean(single))


def test_a_transformed_image_is_of_the_preprocessed_size() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 27), dtype=np.uint8))
    transform = QueryTransform((0.5, 1.0), 25.0, 16, 0, 0)
    assert transform(image, 3).size == (48, 16)
    assert transform(image, 3).tobytes() == transform(image, 3).tobytes()
    assert transform(image, 3).tobytes() != transform(image, 4).tobytes()


@pytest.mark.parametrize(("width", "height"), [(100, 100), (8, 8), (300, 20), (1, 50)])
def test_random_boxes_lie_inside_and_have_the_share_and_ratio(width: int, height: int) -> None:
    for key in range(200):
        left, top, right, bottom = random_box(width, height, (0.2, 0.5), generator("test", key))
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        ratio, share = (right - left) / (bottom - top), (right - left) * (bottom - top) / (width * height)
        assert 3 / 4 - 1e-6 <= ratio <= 4 / 3 + 1e-6
        if width == height:
            assert 0.2 - 1e-6 <= share <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": ()}, "k: "),
        ({"k": (0, 5)}, "k: "),
        ({"temperature": 0.0}, "temperature: 0.0 must be more than 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"chunk": 0}, "chunk"),
        ({"query_scale": (0.5, 0.2)}, "query_scale"),
        ({"query_scale": (0.0, 1.0)}, "query_scale"),
        ({"query_degrees": -1.0}, "query_degrees"),
        ({"query_repeats": 0, "query_degrees": 1.0}, "query_repeats"),
        ({"query_repeats": 2}, "query_repeats needs"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        KNN(**options)
