"""Nets that torch.compile runs: the same numbers, and one sentence where it fails."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

import sslkit
from sslkit.errors import RunError, UserError
from tiny_run import TINY_VIT, final_weights

COMPILED = {**TINY_VIT, "train": {**TINY_VIT["train"], "batch_size": 64, "max_steps": 3, "workers": 0}}  # type: ignore[dict-item]


def with_compile(on: bool) -> dict[str, object]:
    return {**COMPILED, "train": {**COMPILED["train"], "compile": on}}  # type: ignore[dict-item]


def test_a_compiled_run_is_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the compiler's front alone, which is what a net can break; its kernels are timed and compared on a GPU
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    for on in (False, True):
        sslkit.fit(with_compile(on), out=tmp_path / str(on))
    plain, compiled = (final_weights(tmp_path / str(on)) for on in (False, True))
    assert plain.keys() == compiled.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert not torch._dynamo.utils.counters["graph_break"]


def test_a_compiler_that_fails_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> None:
        raise OSError("there is no C++ compiler here")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=broken))
    torch._dynamo.reset()
    with pytest.raises(
        RunError, match="torch.compile failed at step 0: .*no C.. compiler here; with train.compile false the same run"
    ):
        sslkit.fit(with_compile(True), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cuda_graphs": True}, "train.cuda_graphs: .*needs train.compile true"),
        ({"cuda_graphs": True, "compile": True, "micro_batches": 2}, "plays one batch a step: it needs train.micro_ba"),
        ({"cuda_graphs": True, "compile": True, "device": "cpu"}, "train.cuda_graphs: true needs a CUDA device"),
    ],
)
def test_cuda_graphs_where_they_cannot_be(given: dict[str, object], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        sslkit.fit({**COMPILED, "train": {**COMPILED["train"], **given}}, out=tmp_path / "run")  # type: ignore[dict-item]
