"""Parts that give the wrong type or shape are told by plugin, part and contract before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

import sslkit
from sslkit.errors import RunError, UserError
from tiny_run import TINY_VIT

HEAD = '''
"""Parts that break their contracts."""
import torch
import sslkit
from torch import nn
from sslkit.parts import *

class Net(Backbone):
    """A sound backbone."""
    def __init__(self, channels: int, image_size: int) -> None:
        super().__init__()
        self.embed_dim, self.conv = 4, nn.Conv2d(channels, 4, 3)
    def forward(self, images, patches=False):
        return Tokens(self.conv(images).mean((2, 3)))

class Two(Augmenter):
    """Two sound views."""
    def __init__(self, channels: int) -> None:
        self.views = (ViewSpec("global0", 16), ViewSpec("global1", 16))
    def draw(self, view, width, height, generator):
        return {}
    def render(self, image, view, draws):
        return torch.zeros(3, 16, 16, dtype=torch.uint8)

class Rates(OptimizerPart):
    """A sound optimizer."""
    def __init__(self, lr: Schedule = named("constant", 0.1), weight_decay: Schedule = named("constant", 0.0)) -> None:
        self.lr, self.weight_decay = lr, weight_decay
    def create(self, groups):
        return torch.optim.SGD(groups)

class Broken(%s):
    """Breaks its contract."""
    %s

@sslkit.hookimpl
def sslkit_register(registry):
    registry.%s("broken", Broken)
'''
LOSS = "def forward(self, student, teacher, views, at):\n        return "
CASES = [
    (
        "loss",
        "Loss",
        LOSS + "student.projections['global0'].sum()",
        "forward gives a float32 tensor [] and not sslkit.parts.LossTerms",
    ),
    (
        "loss",
        "Loss",
        LOSS + "LossTerms(student.projections['global0'].sum(1))",
        "its total is a float32 tensor [2] and not a scalar",
    ),
    ("loss", "Loss", LOSS + "LossTerms(torch.tensor(1.0))", "its total has no gradient"),
    ("loss", "Loss", LOSS + "student.projections['global9']", "it fails on two images: KeyError: 'global9'"),
    (
        "backbone",
        "Net",
        "def forward(self, images, patches=False):\n        return images",
        "and not sslkit.parts.Tokens",
    ),
    (
        "backbone",
        "Net",
        "def forward(self, images, patches=False):\n        return Tokens(self.conv(images).mean(1))",
        "forward gives cls of the shape [2, 14, 14] for 2 images, and its embed_dim says [2, 4]",
    ),
    (
        "backbone",
        "Backbone",
        "def __init__(self, channels: int, image_size: int) -> None:\n        super().__init__()\n"
        "    def forward(self, images, patches=False):\n        pass",
        "its embed_dim is None and not an int",
    ),
    (
        "head",
        "Head",
        "out_dim = 7\n    def forward(self, features):\n        return features",
        "and its out_dim says [2, 7]",
    ),
    (
        "teacher",
        "TeacherRule",
        "def start(self, student):\n        return 'it'\n    def update(self, teacher, student, at):\n        pass",
        "start gives a str and not a module",
    ),
    (
        "optimizer",
        "Rates",
        "def create(self, groups):\n        pass",
        "create gives None and not a torch.optim.Optimizer",
    ),
    ("optimizer", "OptimizerPart", "def create(self, groups):\n        pass", "its lr is None and not a Schedule"),
    (
        "augmenter",
        "Two",
        "def render(self, image, view, draws):\n        return torch.zeros(3, 16, 16)",
        "render gives a float32 tensor [3, 16, 16] for the view 'global0' and not uint8 [3, 16, 16]",
    ),
    (
        "augmenter",
        "Two",
        "def draw(self, view, width, height, generator):\n        return 1 / 0",
        "it fails on an image of 64 x 48",
    ),
    (
        "augmenter",
        "Two",
        "def __init__(self, channels: int) -> None:\n        self.views = ()",
        "one or more sslkit.parts.ViewSpec",
    ),
    (
        "dataset",
        "Dataset",
        "def split(self, which):\n        return [1, 2]",
        "split gives a list and not sslkit.parts.Images",
    ),
    (
        "clip",
        "Clip",
        "def __call__(self, gradients):\n        pass",
        "of 2 gradients it gives None and not their norms [2]",
    ),
]
SECTIONS = {"dataset": "data", "augmenter": "augment"}


@pytest.mark.parametrize(("kind", "base", "body", "sentence"), CASES)
def test_it_is_told_before_training(kind: str, base: str, body: str, sentence: str, tmp_path: Path) -> None:
    plugin = tmp_path / f"broken_{tmp_path.name}.py"
    plugin.write_text(HEAD % (base, body, kind))
    recipe = TINY_VIT | {SECTIONS.get(kind, kind): {"name": "broken"}, "watch": None}
    with pytest.raises(UserError) as found:
        sslkit.fit(recipe, out=tmp_path / "run", plugins=plugin)
    told = str(found.value)
    assert f"the {kind} 'broken' of plugin 'broken_" in told
    assert f"({plugin}) breaks the contract sslkit.parts." in told
    assert sentence in told
    assert told.endswith(f"; see docs/contracts.md#{kind}")
    assert "\n" not in told


def test_an_evaluator_that_gives_no_metrics_is_named(tmp_path: Path) -> None:
    plugin = tmp_path / "broken_evaluator.py"
    plugin.write_text(
        HEAD % ("Evaluator", "def evaluate(self, frozen, data, out_dir):\n        return {}", "evaluator")
    )
    with pytest.raises(RunError, match=r"teacher/broken: evaluate gives a dict and not sslkit\.parts\.Metrics"):
        sslkit.fit(
            TINY_VIT | {"evaluate": {"broken": {"at_start": True}}, "watch": None}, out=tmp_path / "run", plugins=plugin
        )
