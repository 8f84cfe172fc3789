"""Linear probes: torch's own SGD as reference, and learning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from evaluation_parts import Patterns, Splits, freeze, tiny_conv
from sslkit.data.preprocess import preprocess_image
from sslkit.errors import RunError, UserError
from sslkit.parts import Bands, Evaluator, Preprocess, Tokens, interleaved
from sslkit_evaluators.linear import Linear
from sslkit_evaluators.linear_cached import LinearCached
from sslkit_evaluators.linear_probes import LinearProbes
from sslkit_evaluators.top_hits import top_accuracy, top_hits
from sslkit_evaluators.train_crop import TrainCrop


def probes_of(lrs: Sequence[float], classes: int = 5, epochs: int = 4, batch_size: int = 16) -> LinearProbes:
    return LinearProbes(7, classes, lrs=lrs, batch_size=batch_size, epochs=epochs, seed=0, device=torch.device("cpu"))


def clusters(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 5, count)
    x = np.eye(7)[labels] * 2 + draw.normal(size=(count, 7))
    return torch.from_numpy(x).float(), torch.from_numpy(labels)


def test_steps_are_those_of_torch_sgd() -> None:
    x, labels = clusters(64)
    lrs = (0.02, 0.3, 5.0)
    probes = probes_of(lrs, batch_size=256)
    assert float(probes.weight.std()) == pytest.approx(0.01, rel=0.3)
    references = []
    for row, lr in enumerate(lrs):
        layer = torch.nn.Linear(7, 5).double()
        with torch.no_grad():
            layer.weight.copy_(probes.weight[:, row].T)
            layer.bias.zero_()
        references.append((layer, torch.optim.SGD(layer.parameters(), lr=lr, momentum=0.9), lr))
    for step, factor in enumerate((1.0, 0.9, 0.4, 0.1) * 3):
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        probes.step(x[rows], labels[rows], factor)
        for layer, optimizer, lr in references:
            optimizer.param_groups[0]["lr"] = lr * factor
            optimizer.zero_grad()
            F.cross_entropy(layer(x[rows].double()), labels[rows]).backward()
            optimizer.step()
    for row, (layer, _, _) in enumerate(references):
        torch.testing.assert_close(probes.weight[:, row].double(), layer.weight.T.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(probes.bias[row].double(), layer.bias.detach(), rtol=1e-4, atol=1e-5)


def test_rates_do_not_see_each_other_and_scale_with_the_batch() -> None:
    x, labels = clusters(50)
    together, alone, twice = probes_of((0.1, 1.0)), probes_of((1.0,)), probes_of((2.0,), batch_size=8)
    for epoch in range(4):
        for probes in (together, alone):
            probes.train_epoch(x, labels, epoch)
    torch.testing.assert_close(together.weight[:, 1:], alone.weight)
    assert torch.equal(probes_of((1.0,))._lrs, twice._lrs)


def test_the_rate_follows_a_cosine_over_the_epochs() -> None:
    factors = []
    probes = probes_of((1.0,), epochs=5)
    probes.step = lambda x, labels, factor: factors.append(factor)  # type: ignore[method-assign]
    x, labels = clusters(16)
    for epoch in range(5):
        probes.train_epoch(x, labels, epoch)
    parameter = torch.nn.Parameter(torch.zeros(()))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer := torch.optim.SGD([parameter], lr=1.0), T_max=5)
    expected = []
    for _ in range(5):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert factors == pytest.approx(expected)


def test_accuracy_counts_and_a_diverged_rate_has_none() -> None:
    x, labels = clusters(50)
    probes = probes_of((0.5, 1.0))
    for epoch in range(4):
        probes.train_epoch(x, labels, epoch)
    expected = [100 * float((logits.argmax(1) == labels).float().mean()) for logits in probes.logits(x).unbind(1)]
    assert probes.accuracy(x, labels, chunk=7) == pytest.approx(expected)
    two = [
        100 * float((logits.topk(2).indices == labels[:, None]).any(1).float().mean())
        for logits in probes.logits(x).unbind(1)
    ]
    assert probes.accuracy(x, labels, top=2, chunk=7) == pytest.approx(two)
    probes.weight[:, 0] = float("nan")
    assert probes.accuracy(x, labels)[0] == 0
    assert probes.accuracy(x, labels)[1] == pytest.approx(expected[1])


@pytest.mark.parametrize(
    "evaluator",
    [LinearCached(), LinearCached(standardize=False), Linear(epochs=12, lrs=(0.3, 1.0), batch_size=64, scale=(0.7, 1))],
)
def test_patterns_are_learned_and_the_numbers_are_deterministic(tmp_path: Path, evaluator: Evaluator) -> None:
    data = Splits(Patterns(200, noise=15.0), Patterns(100, salt=1, noise=15.0))
    results = []
    for _ in range(2):
        with freeze(tiny_conv(width=24)) as frozen:
            results.append(evaluator.evaluate(frozen, data, tmp_path).values)
    assert results[0] == results[1]
    top1 = results[0]["best_top1" if isinstance(evaluator, Linear) else "top1"]
    assert top1 > 80  # of 4 classes


def test_cached_numbers_are_of_the_rate_that_held_out_images_chose(tmp_path: Path) -> None:
    data = Splits(Patterns(100), Patterns(60, salt=1))
    with freeze(tiny_conv()) as frozen:
        values = LinearCached(lrs=(1e-9, 0.1, 1e9)).evaluate(frozen, data, tmp_path).values
        alone = LinearCached(lrs=(0.1,)).evaluate(frozen, data, tmp_path).values
    assert set(values) == {"top1", "validation_top1", "lr"}
    assert values["lr"] == 0.1
    assert values["top1"] == pytest.approx(alone["top1"], abs=2)


def test_cached_makes_one_step_a_batch_for_all_rates(tmp_path: Path) -> None:
    calls = []
    data = Splits(Patterns(50), Patterns(20, salt=1))
    original = LinearProbes.step
    with pytest.MonkeyPatch.context() as patch, freeze(tiny_conv()) as frozen:
        patch.setattr(LinearProbes, "step", lambda *args: (calls.append(1), original(*args)))
        LinearCached(epochs=10, batch_size=20).evaluate(frozen, data, tmp_path)
    assert len(calls) == 10 * 3


def test_cached_says_when_every_rate_diverges(tmp_path: Path) -> None:
    data = Splits(Patterns(40), Patterns(20, salt=1))
    with (
        freeze(tiny_conv()) as frozen,
        pytest.raises(RunError, match=r"diverged at every learning rate of lrs \[3e\+38"),
    ):
        LinearCached(lrs=(3e38,)).evaluate(frozen, data, tmp_path)


def test_too_few_images_are_told(tmp_path: Path) -> None:
    with freeze(tiny_conv()) as frozen:
        for train, test in ((1, 5), (5, 0)):
            with pytest.raises(RunError, match="at least two labelled train images"):
                LinearCached().evaluate(frozen, Splits(Patterns(train), Patterns(test)), tmp_path)
        LinearCached(epochs=2).evaluate(frozen, Splits(Patterns(2), Patterns(1)), tmp_path)


def test_linear_names_every_rate(tmp_path: Path) -> None:
    data = Splits(Patterns(30), Patterns(20, salt=1))
    with freeze(tiny_conv()) as frozen:
        values = Linear(epochs=2, lrs=(0.001, 0.3)).evaluate(frozen, data, tmp_path).values
    assert list(values) == ["best_top1", "best_top5", "best_lr", "lr0.001_top1", "lr0.3_top1"]
    assert values["best_top5"] == 100  # of 4 classes
    assert values["best_top1"] == max(values["lr0.001_top1"], values["lr0.3_top1"])


def test_linear_runs_the_backbone_anew_in_every_epoch(tmp_path: Path) -> None:
    net = tiny_conv()
    seen: list[torch.Tensor] = []
    net.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    with freeze(net, batch_size=64) as frozen:
        Linear(epochs=3).evaluate(frozen, Splits(Patterns(30), Patterns(20, salt=1)), tmp_path)
    trained = [images for images in seen if len(images) == 30]
    assert len(trained) == 3
    assert not torch.equal(trained[0], trained[1])


@pytest.mark.parametrize(("size", "resize"), [(16, None), (14, 16), (13, 16)])
def test_train_crops_pass_the_preprocessing_unchanged(size: int, resize: int | None) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8))
    preprocess = Preprocess(size=size, resize=resize)
    seen = set()
    for epoch in range(8):
        bare = TrainCrop(size, size, (0.08, 1.0), 0, epoch)(image, 5)
        framed = TrainCrop(size, resize or size, (0.08, 1.0), 0, epoch)(image, 5)
        pixels = preprocess_image(framed, preprocess)
        assert torch.equal(pixels, torch.from_numpy(np.array(bare)).permute(2, 0, 1))
        seen.add(bare.tobytes())
        bands = TrainCrop(size, resize or size, (0.08, 1.0), 0, epoch)(Bands((*image.split(), image.getchannel(0))), 5)
        four = preprocess_image(bands, Preprocess(size=size, resize=resize, channels=4))
        assert torch.equal(four, pixels[[0, 1, 2, 0]])
    assert len(seen) == 8


def test_about_half_of_the_crops_are_flipped() -> None:
    ramp = Image.fromarray(np.tile(np.arange(0, 240, 8, dtype=np.uint8), (30, 1)))
    crops = [np.asarray(TrainCrop(8, 8, (0.5, 1.0), 0, 0)(ramp, index)).astype(int) for index in range(200)]
    flipped = sum(crop[0, 0] > crop[0, -1] for crop in crops)
    assert 70 < flipped < 130


def test_the_mean_patch_token_is_interleaved() -> None:
    tokens = Tokens(cls=torch.tensor([[1.0, 2.0]]), patches=torch.tensor([[[10.0, 20.0], [30.0, 40.0]]]))
    assert interleaved(tokens).tolist() == [[1.0, 20.0, 2.0, 30.0]]


def test_top_hits_count_the_right_class_among_the_first() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [float("nan"), 0.0, 5.0]])
    labels = torch.tensor([2, 1, 2])
    assert top_hits(logits, labels).tolist() == [False, False, False]
    # of equal ones the lower class comes first; what is not finite is never right
    assert top_hits(logits, labels, 2).tolist() == [True, True, False]
    assert top_accuracy(logits, labels, 2) == pytest.approx(200 / 3)


def test_capabilities_that_options_need_are_checked(tmp_path: Path) -> None:
    data = Splits(Patterns(10), Patterns(5, salt=1))
    with freeze(tiny_conv()) as frozen:
        with pytest.raises(UserError, match=r"blocks: the backbone TinyConv .* intermediate"):
            Linear(blocks=4).evaluate(frozen, data, tmp_path)
        with pytest.raises(UserError, match=r"average_patches: the backbone TinyConv .* patches"):
            Linear(average_patches=True).evaluate(frozen, data, tmp_path)


@pytest.mark.parametrize("kind", [Linear, LinearCached])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lrs": ()}, "lrs"),
        ({"lrs": (0.1, 0.0)}, "lrs"),
        ({"lrs": (0.1, 0.1)}, "lrs"),
        ({"epochs": 0}, "epochs: 0 must be at least 1"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_options_are_checked(kind: type[Evaluator], options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        kind(**options)


def test_options_of_one_kind_are_checked() -> None:
    with pytest.raises(UserError, match="held_out"):
        LinearCached(held_out=1.0)
    with pytest.raises(UserError, match=r"average_patches goes with blocks: 1"):
        Linear(blocks=4, average_patches=True)
    with pytest.raises(UserError, match="scale"):
        Linear(scale=(0.0, 1.0))
