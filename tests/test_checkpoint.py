"""Checkpoints: whole or not there, verified before use, never fewer than two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from sslkit.engine.checkpoint import CheckpointStore, restore, weights_of
from sslkit.errors import RunError


def net(value: float) -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    nn.init.constant_(module[0].weight, value)
    return module


def save(store: CheckpointStore, step: int, best: int | None = None) -> Path:
    return store.save(weights_of({"student": net(step)}), {"optimizer": {"lr": 0.1}}, {"step": step}, best)


def test_round_trip_is_exact_and_strict(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 7)
    found = store.newest()
    assert found is not None
    assert found.state == {"step": 7}
    assert found.optimizer == {"optimizer": {"lr": 0.1}}
    target = net(0)
    restore({"student": target}, found.weights)
    assert torch.equal(target[0].weight, net(7)[0].weight)
    with pytest.raises(RunError, match="does not fit the student"):
        restore({"student": nn.Linear(3, 4)}, found.weights)
    with pytest.raises(RunError, match=r"no place for: student/0\.bias"):
        restore({}, found.weights)


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.pt", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_kept_aside_and_the_older_one_used(
    tmp_path: Path, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)
    newest = save(store, 2) / file
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4
        newest.write_bytes(data)
    elif damage == "cut":
        newest.write_bytes(data[: len(data) // 2])
    else:
        newest.unlink()
    before = sorted(tmp_path.rglob("*"))
    found = store.newest()
    assert found is not None
    assert found.state["step"] == 1
    assert sorted(tmp_path.rglob("*")) == before  # reading changes nothing
    store.repair()
    assert (tmp_path / "damaged-step-00000002").is_dir()
    assert "step-00000002 is damaged" in caplog.text


def test_retention_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    for step in range(1, 7):
        save(store, step, best=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000005", "step-00000006"]
    assert CheckpointStore(tmp_path, keep=1).keep == 2


def test_saving_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 3)
    store.save(weights_of({"student": net(9)}), {}, {"step": 3}, None)
    found = store.newest()
    assert found is not None
    assert float(found.weights["student/0.weight"][0, 0]) == 9
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_a_failing_save_names_the_path_and_leaves_the_old_ones(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)

    class Full:
        def __reduce__(self) -> str:
            raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"step-00000002 was not saved .* free on that disk"):
        store.save(weights_of({"student": net(2)}), {"optimizer": Full()}, {"step": 2}, None)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    save(CheckpointStore(tmp_path), 1)
    script = (
        "import resource, sys, torch\n"
        "from pathlib import Path\n"
        "from sslkit.engine.checkpoint import CheckpointStore, weights_of\n"
        "from sslkit.errors import RunError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "net = torch.nn.Linear(100, 100)\n"
        "try:\n"
        "    CheckpointStore(Path(sys.argv[1])).save(weights_of({'student': net}), {}, {'step': 2}, None)\n"
        "except RunError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "step-00000002 was not saved (the weights alone need 0.0 MB" in done.stdout
    assert "the older checkpoints are whole" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_kill_during_retention_leaves_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = CheckpointStore(tmp_path)
    half = save(store, 1).rename(tmp_path / ".step-00000001.retired")
    (half / "manifest.json").unlink()
    save(store, 2)
    store.repair()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]
    assert not caplog.records


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)
    (tmp_path / ".step-00000002.123").mkdir()
    store.repair()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_kill_between_the_two_renames_of_a_replacement_loses_nothing(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 3).rename(tmp_path / ".step-00000003.replaced")
    store.repair()
    found = store.newest()
    assert found is not None
    assert found.state["step"] == 3


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "canary",))  # type: ignore[return-value]

    store = CheckpointStore(tmp_path / "checkpoints")
    path = store.save(weights_of({"student": net(1)}), {"optimizer": {}}, {"step": 1}, None)
    torch.save({"optimizer": Canary()}, path / "optimizer.pt")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        torch.load(path / "optimizer.pt", weights_only=True)
    assert store.newest() is None  # its SHA-256 differs
    store.repair()
    assert not (tmp_path / "canary").exists()


def test_a_run_folder_that_is_gone_is_told_and_not_made_anew(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "run/checkpoints")
    with pytest.raises(RunError, match=r"step-00000001 was not saved: \S+/run is gone \(removed, or its disk is\)"):
        save(store, 1)
    assert not list(tmp_path.iterdir())
