"""Features and numbers are the same on 1, 2 and 3 ranks, whatever remains when the images are divided by them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from evaluation_parts import GREY, PLAIN, ColourPatches, NoImages, Patterns, Splits, freeze, tiny_conv
from mask_datasets import SIDE, davis, voc
from sslkit.evaluation.gather import gather_rows
from sslkit.evaluation.runner import EvaluationResult, run_evaluators
from sslkit.parts.collectives import gather_items
from sslkit_evaluators.knn import KNN
from sslkit_evaluators.segmentation import Segmentation
from sslkit_evaluators.video_segmentation import VideoSegmentation


def compute(out_dir: Path, masks: Path) -> dict[str, object]:
    """Everything that must not depend on the number of ranks."""
    # 53 and 7: no multiples of 2, 3 or the chunk; 2 images leave a third rank without any
    train, test, few = Patterns(53, unreadable=(10, 52)), Patterns(7, salt=1), Patterns(2, salt=2)
    with freeze(tiny_conv(), batch_size=5) as frozen:
        features = frozen.features(train)
        short, none = frozen.features(few), frozen.features(Patterns(0))
        lost = frozen.features(Patterns(3, unreadable=(0, 1, 2)))
    result = run_evaluators(
        {"knn": (KNN(k=(3, 5), query_degrees=20.0, chunk=2), ("teacher",))},
        {"teacher": tiny_conv()},
        Splits(train, test),
        preprocess=GREY,
        device=torch.device("cpu"),
        seed=0,
        batch_size=5,
        workers=0,
        precision=None,
        out_dir=out_dir,
    )
    judged = judge_masks(out_dir, masks)
    return {
        "x": features.x,
        "labels": features.labels,
        "indices": features.indices,
        "few": short.x,
        "none": none.x,
        "lost": lost.x,
        "bad": [bad.index for bad in frozen.bad],
        "values": result.values,
        "tallies": {name: (one.right.tolist(), one.asked.tolist()) for name, one in result.tallies.items()},
        "result_bad": [bad.name for bad in result.bad],
        "judged": judged.values,
        "judged_bad": [Path(bad.name).name for bad in judged.bad],
    }


def judge_masks(out_dir: Path, masks: Path) -> EvaluationResult:
    """What evaluators find that share images and videos, and not features, among the ranks."""
    return run_evaluators(
        {
            "segmentation": (Segmentation(root=str(masks / "voc"), size=None), ("teacher",)),
            "video": (VideoSegmentation(root=str(masks / "davis"), size=SIDE), ("teacher",)),
        },
        {"teacher": ColourPatches()},
        NoImages(),
        preprocess=PLAIN,
        device=torch.device("cpu"),
        seed=0,
        batch_size=5,
        workers=0,
        precision=None,
        out_dir=out_dir,
    )


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("masks")
    # the first image cannot be read; a third rank has no image; the first rank has two videos
    (voc(root / "voc") / "JPEGImages/bright.jpg").write_bytes(b"no image")
    davis(root / "davis", videos=3)
    return root


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one rank."""
    return tmp_path_factory.mktemp("one")


@pytest.fixture(scope="module")
def one_rank(alone: Path, masks: Path) -> dict[str, object]:
    return compute(alone, masks)


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_agree_with_one(
    tmp_path: Path, one_rank: dict[str, object], masks: Path, alone: Path, world_size: int
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path), str(rank), str(world_size), str(masks)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for rank in range(world_size):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert found.keys() == one_rank.keys()
        for key, expected in one_rank.items():
            if isinstance(expected, torch.Tensor):
                # bit by bit: the chunks are the same
                assert torch.equal(found[key], expected), key
            else:
                assert found[key] == expected, key
    assert files_below(tmp_path / "out") == files_below(alone)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_rank_gathers_what_it_has() -> None:
    rows = torch.rand(3, 2)
    assert gather_rows(rows) is rows
    assert gather_items(("a", "b")) == ["a", "b"]


def test_the_numbers_are_numbers(one_rank: dict[str, object]) -> None:
    assert len(one_rank["indices"]) == 51
    assert set(one_rank["bad"]) == {10, 52, 0, 1, 2}
    assert one_rank["judged_bad"] == ["bright.jpg"]
    assert {"teacher/segmentation/jaccard", "teacher/video/JF_mean"} <= set(one_rank["judged"])
    assert set(one_rank["values"]) == {f"teacher/knn/k{k}_top{n}" for k in (3, 5) for n in (1, 5)}
    for name, (right, asked) in one_rank["tallies"].items():
        assert asked == [1] * 7
        assert 100 * sum(right) / 7 == pytest.approx(one_rank["values"][name])


if __name__ == "__main__":
    folder, own_rank, ranks = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=own_rank, world_size=ranks)
    torch.save(compute(folder / "out", Path(sys.argv[4])), folder / f"rank{own_rank}.pt")
    dist.destroy_process_group()
    # torch's own threads now and then abort the interpreter's end: what was to be computed is written
    os._exit(0)
