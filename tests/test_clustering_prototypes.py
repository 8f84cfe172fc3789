"""SwAV's prototypes: frozen at the start, of unit length after every step, in a real run."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sslkit.errors import UserError
from sslkit.testing import replay
from sslkit_clustering.prototypes import Prototypes
from tiny_methods import tiny_method


def test_similarities_to_directions_of_unit_length() -> None:
    head = Prototypes(4, out_dim=3)
    rows = torch.randn(2, 5, 4)
    torch.testing.assert_close(head(rows), rows @ F.normalize(head.directions.weight, dim=1).T)
    torch.testing.assert_close(head.directions.weight.norm(dim=1), torch.ones(3))


def test_they_stay_for_the_frozen_steps_and_keep_their_length() -> None:
    draw = torch.Generator().manual_seed(0)
    views = [
        {"global0": torch.randn(4, 3, 16, 16, generator=draw), "global1": torch.randn(4, 3, 16, 16, generator=draw),
         "local0": torch.randn(4, 3, 8, 8, generator=draw)}
        for _ in range(4)
    ]  # fmt: skip
    seen = []
    for run, _ in replay(tiny_method("swav"), {}, views, steps_per_epoch=2):
        weight = run.student.predictor.directions.weight.detach().clone()
        torch.testing.assert_close(weight.norm(dim=1), torch.ones(6))
        seen.append(weight)
    assert torch.equal(seen[0], seen[1])  # freeze_steps: 2
    assert not torch.equal(seen[1], seen[2])
    assert not torch.equal(seen[2], seen[3])


@pytest.mark.parametrize("options", [{"out_dim": 0}, {"freeze_steps": -1}])
def test_bad_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match=f"^{next(iter(options))} is "):
        Prototypes(4, **options)
