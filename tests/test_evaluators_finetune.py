"""Fine-tuning: a float64 AdamW as reference, what is learned and what is left alone, and several ranks."""

from __future__ import annotations

import copy
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from evaluation_parts import Patterns, Splits, freeze
from sslkit.errors import RunError, UserError
from sslkit.parts import Backbone, Preprocess, Tokens
from sslkit_evaluators.finetune import FineTune
from sslkit_evaluators.finetune_training import Classifier, Schedule, Training, parameter_groups
from sslkit_evaluators.linear_cached import LinearCached


class Narrow(Backbone):
    """Two convolutions with a BatchNorm, and an output so narrow that frozen random features do not suffice."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.embed_dim = width
        self.body = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU())
        self.out = nn.Linear(16, width)

    def forward(self, images: Tensor, patches: bool = False) -> Tokens:
        return Tokens(self.out(self.body(images).mean(dim=(2, 3))))


def seeded(make: Callable[[], Backbone], seed: int = 1) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def tiny_vit(**options: object) -> Backbone:
    vit = pytest.importorskip("sslkit_vision.vit")
    options = {"channels": 1, "image_size": 8, "patch_size": 4, "dim": 12, "depth": 2, "heads": 2} | options
    return seeded(lambda: vit.ViT(**options))


def patterns(count: int = 200) -> Splits:
    return Splits(Patterns(count, noise=60.0), Patterns(100, salt=1, noise=60.0))


def short(**options: object) -> FineTune:
    return FineTune(**{"epochs": 2, "batch_size": 16, "warmup_epochs": 1, "lr": 0.05, "scale": (0.7, 1.0)} | options)


@pytest.mark.parametrize("augment", ["deit", "crops"])
def test_it_beats_the_frozen_features_and_leaves_the_backbone_alone(tmp_path: Path, augment: str) -> None:
    net, data = seeded(Narrow), patterns()
    before = copy.deepcopy(net.state_dict())
    flags = [(module.training, [p.requires_grad for p in module.parameters()]) for module in net.modules()]
    with freeze(net) as frozen:
        linear = LinearCached().evaluate(frozen, data, tmp_path).values["top1"]
        states = random.getstate()[1], np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        values = (
            FineTune(epochs=30, batch_size=40, lr=0.1, warmup_epochs=1, augment=augment, scale=(0.9, 1.0))
            .evaluate(frozen, data, tmp_path)
            .values
        )
        assert states == (random.getstate()[1], np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
        assert all(parameter.grad is None for parameter in net.parameters())
    assert flags == [(module.training, [p.requires_grad for p in module.parameters()]) for module in net.modules()]
    assert list(values) == ["top1", "top5", "train_loss"]
    assert values["top1"] > max(95, linear + 5)  # of 4 classes
    assert values["top5"] == 100


@pytest.mark.parametrize("augment", ["deit", "crops"])
def test_the_numbers_depend_on_the_seed_and_not_on_workers_or_blocks(
    augment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(seed: int = 0, workers: int = 0) -> Tensor:
        torch.manual_seed(workers)
        random.seed(workers)
        np.random.seed(workers)
        with freeze(tiny_vit(drop_path_rate=0.3), seed=seed, workers=workers) as frozen:
            net, loss = short(augment=augment).train(frozen, Patterns(50), 4)
        assert math.isfinite(loss)
        return torch.cat([value.flatten() for value in net.state_dict().values()])

    first = weights()
    assert torch.equal(first, weights(workers=2))
    assert not torch.equal(first, weights(seed=1))
    monkeypatch.setattr("sslkit_evaluators.finetune_batches._BLOCK_BYTES", 1)
    assert torch.equal(first, weights())


def test_steps_are_those_of_adamw_with_deits_rates() -> None:
    net = Classifier(tiny_vit(drop_path_rate=0.0), 3, 0)
    exact = copy.deepcopy(net).double()
    schedule = Schedule(epochs=4, steps=2, lr=0.01, warmup_epochs=1, weight_decay=0.3, layer_decay=1.0)
    training = Training(net, schedule, 0, None)
    draw = np.random.default_rng(0)
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in exact.named_parameters()}
    for step in range(8):
        images = torch.from_numpy(draw.normal(size=(6, 1, 8, 8)).astype(np.float32))
        targets = torch.from_numpy(draw.dirichlet(np.ones(3), size=6))
        loss = training.step(images, targets.float(), step // 2, step % 2)
        # warm-up over two steps from 1e-6; the cosine from 0.01 to 1e-5 has run all the while
        cosine = 1e-5 + (0.01 - 1e-5) * (1 + math.cos(math.pi * step / 8)) / 2
        lr = 1e-6 + step * (0.01 - 1e-6) / 2 if step < 2 else cosine
        exact_loss = -(targets * exact(images.double()).log_softmax(dim=1)).sum(dim=1).mean()
        assert float(loss) == pytest.approx(exact_loss.item(), rel=1e-4)
        exact.zero_grad()
        exact_loss.backward()
        with torch.no_grad():
            for name, p in exact.named_parameters():
                decays = p.ndim > 1 and "pos_embed" not in name and "cls_token" not in name
                m, v = moments[name]
                m.mul_(0.9).add_(0.1 * p.grad)
                v.mul_(0.999).add_(0.001 * p.grad**2)
                p -= lr * 0.3 * decays * p
                p -= lr * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    final = exact.state_dict()
    for name, value in net.state_dict().items():
        if name.endswith("qkv.bias"):
            # the keys' third has a gradient of zero but for rounding, which AdamW turns into steps
            value, final[name] = value[[*range(12), *range(24, 36)]], final[name][[*range(12), *range(24, 36)]]
        torch.testing.assert_close(value.double(), final[name], rtol=0, atol=2e-4)


def test_the_classifier_begins_near_zero_and_by_its_seed() -> None:
    heads = [Classifier(tiny_vit(), 5, seed).head for seed in (0, 0, 1)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert float(heads[0].weight.detach().std()) == pytest.approx(2e-5, rel=0.3)
    assert not heads[0].bias.any()


def scales(net: Classifier, layer_decay: float) -> dict[str, float]:
    """The factor of each parameter's learning rate; every parameter is in one group."""
    names = {id(p): name for name, p in net.named_parameters()}
    groups = parameter_groups(net, 0.1, layer_decay)
    found = {names[id(p)]: group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found) == len(names)
    for group in groups:
        for p in group["params"]:
            decays = p.ndim > 1 and "pos_embed" not in names[id(p)] and "cls_token" not in names[id(p)]
            assert group["weight_decay"] == (0.1 if decays else 0), names[id(p)]
    return found


def test_layers_learn_slower_the_earlier_they_are() -> None:
    net = Classifier(tiny_vit(), 3, 0)
    assert set(scales(net, 1.0).values()) == {1.0}
    for name, scale in scales(net, 0.5).items():
        inner = name.removeprefix("backbone.net.")
        expected = 0.25 if inner.startswith("blocks.0.") else 0.5 if inner.startswith(("blocks.1.", "norm.")) else 1.0
        expected = 0.125 if inner.startswith(("patch_embed", "cls_token", "pos_embed")) else expected
        assert scale == expected, name
    # a backbone that timm does not know
    assert scales(Classifier(seeded(Narrow), 3, 0), 0.5)["head.weight"] == 1.0


def test_a_class_that_is_only_tested_is_counted_wrong(tmp_path: Path) -> None:
    data = Splits(Patterns(40, classes=4), Patterns(40, salt=1, classes=5))
    with freeze(tiny_vit()) as frozen:
        assert short(augment="crops").evaluate(frozen, data, tmp_path).values["top1"] <= 80


def test_what_cannot_go_on_is_told(tmp_path: Path) -> None:
    unreadable = Splits(Patterns(4, unreadable=(0, 1, 3)), Patterns(8, salt=1))
    with freeze(tiny_vit()) as frozen:
        with pytest.raises(RunError, match=r"a step of 4 train images has 1 labelled ones that can be read.* needs 2"):
            short().evaluate(frozen, unreadable, tmp_path)
        with pytest.raises(RunError, match=r"not finite in epoch . of 2: use an lr below 1e\+30"):
            short(lr=1e30).evaluate(frozen, patterns(64), tmp_path)
        with pytest.raises(UserError, match=r"^batch_size: 16 of 1 train images are a step of 1, and 1 .* least 2"):
            short().evaluate(frozen, patterns(1), tmp_path)
        with pytest.raises(UserError, match=r"^augment: deit .* 1 or 3 channels, not 4; use crops"):
            short().check(frozen.backbone, Preprocess(size=8, channels=4), patterns())
        short(augment="crops").check(frozen.backbone, Preprocess(size=8, channels=4), patterns())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, r"^epochs: 0 must be at least 1"),
        ({"batch_size": 0}, r"^batch_size: 0 must be at least 1"),
        ({"batch_size": 31}, r"^batch_size: 31 must be even with augment: deit"),
        ({"lr": 0.0}, r"^lr: 0.0 must be above 0"),
        ({"warmup_epochs": 100}, r"^warmup_epochs: 100 must be at least 0 and fewer than the 100 epochs"),
        ({"weight_decay": -1.0}, r"^weight_decay: -1.0"),
        ({"layer_decay": 1.5}, r"^layer_decay: 1.5 must be above 0 and at most 1"),
        ({"scale": (0.5, 0.1)}, r"^scale"),
    ],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FineTune(**options)


def test_bf16_trains(tmp_path: Path) -> None:
    with freeze(tiny_vit()) as frozen:
        values = short(precision="bf16").evaluate(frozen, patterns(48), tmp_path).values
    assert math.isfinite(values["train_loss"])


def compute(out_dir: Path) -> dict[str, object]:
    """What all ranks must agree on."""
    # 53: no multiple of the ranks, and steps of 17 cannot be shared evenly
    train = Patterns(53, unreadable=(10,))
    with freeze(tiny_vit(drop_path_rate=0.0)) as frozen:
        net, loss = short(augment="crops", batch_size=17).train(frozen, train, 4)
        once = Classifier(frozen.backbone, 4, 0)
        images, labels = torch.linspace(-2, 2, 17 * 64).sin().view(17, 1, 8, 8), torch.arange(17) % 3
        Training(once, Schedule(1, 1, 0.1, 0, 0.0, 1.0), 0, None).step(images, torch.eye(4)[labels], 0, 0)
    with freeze(seeded(Narrow)) as frozen:
        normed, _ = short(batch_size=18).train(frozen, train, 4)
        values = short(epochs=3, batch_size=18).evaluate(frozen, Splits(train, Patterns(31, salt=1)), out_dir).values
    weights, normed_weights = (
        torch.cat([value.flatten() for value in each.state_dict().values()]) for each in (net, normed)
    )
    gradient = torch.cat([p.grad.flatten() for p in once.parameters()])
    return {"weights": weights, "normed": normed_weights, "gradient": gradient, "loss": loss} | dict(values)


def test_ranks_agree(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    alone = compute(tmp_path)
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    shared = {key: first.pop(key) for key in ("weights", "normed", "gradient")}
    assert all(torch.equal(value, second.pop(key)) for key, value in shared.items())
    assert first == second
    # the same training as on one rank but for rounding; not with BatchNorm, which is each rank's own
    assert first["loss"] == pytest.approx(alone["loss"], rel=1e-3)
    torch.testing.assert_close(shared["weights"], alone["weights"], rtol=0, atol=1e-3)
    torch.testing.assert_close(shared["gradient"], alone["gradient"], rtol=1e-4, atol=1e-6)
    assert alone["gradient"].abs().max() > 1e-2


if __name__ == "__main__":
    folder, own_rank = Path(sys.argv[1]), int(sys.argv[2])
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=own_rank, world_size=2)
    torch.save(compute(folder), folder / f"rank{own_rank}.pt")
    dist.destroy_process_group()
    # torch's own threads now and then abort the interpreter's end: what was to be computed is written
    os._exit(0)
