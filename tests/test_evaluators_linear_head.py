"""Trained linear heads from files: the golden features and logits of the reference, and files that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation_parts import GREY, Patterns, Splits, freeze, tiny_conv
from sslkit.errors import UserError
from sslkit.parts import Backbone
from sslkit_evaluators.linear import FrozenFeature, Linear
from sslkit_evaluators.linear_head import read_head

DATA = Path(__file__).parent / "data"


def golden_network() -> tuple[Backbone, torch.Tensor, dict[str, np.ndarray]]:
    """The tiny ViT of the golden numbers, the image that they are of, and the numbers."""
    vit = pytest.importorskip("sslkit_vision.vit")
    golden = dict(np.load(DATA / "evaluators_a.npz"))
    config = {key.removeprefix("config/"): int(golden[key]) for key in golden if key.startswith("config/")}
    net = vit.ViT(
        channels=3,
        image_size=config["img"],
        patch_size=config["patch"],
        dim=config["dim"],
        depth=config["depth"],
        heads=config["heads"],
    )
    weights = {
        f"net.{key.removeprefix('backbone/')}": torch.from_numpy(golden[key])
        for key in golden
        if key.startswith("backbone/")
    }
    net.load_state_dict(weights)
    frame = torch.from_numpy(golden["video/frames"][0]).permute(2, 0, 1).float() / 255
    # the reference has 0.228 here
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.228, 0.224, 0.225)))
    return net.eval(), ((frame - mean) / std)[None], golden


def test_features_and_logits_of_the_reference(tmp_path: Path) -> None:
    net, image, golden = golden_network()
    with torch.no_grad():
        two = FrozenFeature(net, 2, False)(image)
        both = FrozenFeature(net, 1, True)(image)
    head = read_head(
        save_head(tmp_path, torch.from_numpy(golden["linear/weight"]), torch.from_numpy(golden["linear/bias"])), 96
    )
    for ours, key in ((two, "cls_last2"), (both, "cls_and_mean"), (head.logits(both), "logits")):
        expected = golden[f"linear/{key}"]
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5 * np.abs(expected).max())


def save_head(folder: Path, weight: torch.Tensor, bias: torch.Tensor, prefix: str = "module.") -> str:
    """A file as eval_linear.py writes its checkpoints."""
    file = folder / "checkpoint.pth.tar"
    state = {f"{prefix}linear.weight": weight, f"{prefix}linear.bias": bias}
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    torch.save({"epoch": 100, "state_dict": state, "optimizer": optimizer.state_dict(), "best_acc": 77.0}, file)
    return str(file)


@pytest.mark.parametrize("bare", [False, True])
def test_a_head_from_a_file_is_judged_and_nothing_is_trained(tmp_path: Path, bare: bool) -> None:
    net = tiny_conv()
    train, test = Patterns(13, classes=6), Patterns(31, salt=1, classes=6)
    weight, bias = torch.randn(6, 12, generator=torch.Generator().manual_seed(0)), torch.linspace(-0.1, 0.1, 6)
    file = save_head(tmp_path, weight, bias)
    if bare:
        torch.save({"linear.weight": weight, "linear.bias": bias}, file)
    with freeze(net) as frozen:
        x = frozen.features(test).x.double().numpy()
        seen: list[int] = []
        net.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
        evaluator = Linear(head=file)
        evaluator.check(net, frozen.preprocess, Splits(train, test))
        values = evaluator.evaluate(frozen, Splits(train, test), tmp_path).values
    assert sum(seen) == 31
    order = np.argsort(-(x @ weight.double().numpy().T + bias.double().numpy()), axis=1)
    hits = order == (np.arange(31) % 6)[:, None]
    assert values == pytest.approx({"top1": 100 * hits[:, 0].mean(), "top5": 100 * hits[:, :5].any(1).mean()})
    assert 0 < values["top1"] < values["top5"] < 100


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, r"^head: .*nowhere.pth: there is no such file"),
        ({"fc.weight": torch.zeros(4, 12), "fc.bias": torch.zeros(4)}, r"^head: .*holds fc.bias, fc.weight; a head is"),
        ({"linear.weight": torch.zeros(4, 12)}, r"^head: .*holds linear.weight; a head is linear.weight and linear.b"),
        ({"linear.weight": 3, "linear.bias": torch.zeros(4)}, r"^head: .*holds no named tensors"),
        ({"linear.weight": torch.zeros(4, 48), "linear.bias": torch.zeros(4)}, r"^head: .*\[4, 48\].*are 12 wide"),
        ({"linear.weight": torch.zeros(4, 12), "linear.bias": torch.zeros(5)}, r"^head: .*linear.bias \[5\].*12 wide"),
        ({"linear.weight": torch.zeros(9, 12), "linear.bias": torch.zeros(9)}, r"^head: .*tells 9 classes.*data has 4"),
        (
            {"linear.weight": torch.full((4, 12), float("nan")), "linear.bias": torch.zeros(4)},
            r"^head: .*values that are not finite",
        ),
    ],
)
def test_heads_that_do_not_fit_are_told_before_anything_runs(
    tmp_path: Path, state: dict[str, object] | None, message: str
) -> None:
    file = tmp_path / "nowhere.pth"
    if state is not None:
        torch.save({"state_dict": state}, file)
    data = Splits(Patterns(8), Patterns(8, salt=1))
    with pytest.raises(UserError, match=message):
        Linear(head=str(file)).check(tiny_conv(), GREY, data)
