"""What a finished run says: numbers with their intervals, and whether differences are beyond noise."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import sslkit
from evaluation_parts import GREY, Patterns, Splits, tiny_conv
from sslkit.cli.main import main
from sslkit.errors import RunError
from sslkit.evaluation.intervals import Tally, paired_difference, share_interval
from sslkit.evaluation.runner import EvaluationResult, run_evaluators
from sslkit.parts import Answers, Dataset, Evaluator, Frozen, Metrics
from sslkit.report.closing import show_results
from sslkit.report.gains import headlines, meaning
from sslkit.report.tallies import read_tallies, write_tallies
from sslkit_evaluators.finetune import FineTune
from sslkit_evaluators.knn import KNN
from sslkit_evaluators.linear import Linear
from sslkit_evaluators.linear_cached import LinearCached
from sslkit_evaluators.lowshot import LowShot
from tiny_run import tiny

ASKED = 20


def evaluate(evaluator: Evaluator, out: Path, unreadable: tuple[int, ...] = (3,)) -> EvaluationResult:
    return run_evaluators(
        {"it": (evaluator, ("student",))},
        {"student": tiny_conv()},
        Splits(Patterns(40), Patterns(ASKED, salt=1, unreadable=unreadable)),
        preprocess=GREY,
        device=torch.device("cpu"),
        seed=0,
        batch_size=16,
        workers=0,
        precision=None,
        out_dir=out,
    )


EVALUATORS = {
    "knn": (lambda: KNN(k=(1, 5), raw_pixels=True), 1),
    "knn, several copies": (lambda: KNN(k=(5,), query_degrees=30.0, query_repeats=3, raw_pixels=True), 3),
    "linear": (lambda: Linear(lrs=(0.01, 0.1), epochs=2), 1),
    "linear_cached": (lambda: LinearCached(epochs=3), 1),
    "lowshot": (lambda: LowShot(shares=(0.2,), per_class=(2,)), 1),
    "lowshot, several draws": (lambda: LowShot(shares=(0.2,), repeats=4), 4),
    "finetune": (lambda: FineTune(epochs=1, batch_size=8, warmup_epochs=0, augment="crops"), 1),
}


@pytest.mark.parametrize("name", EVALUATORS)
def test_every_accuracy_comes_with_the_answers_that_it_is_the_share_of(name: str, tmp_path: Path) -> None:
    make, times = EVALUATORS[name]
    result = evaluate(make(), tmp_path)
    accuracies = {key for key in result.values if re.search(r"top\d$", key) and "validation" not in key}
    assert set(result.tallies) == accuracies
    assert accuracies
    for key, tally in result.tallies.items():
        assert tally.asked.tolist() == [0 if image == 3 else times for image in range(ASKED)]
        assert tally.percent == pytest.approx(result.values[key])
        assert (tally.right <= tally.asked).all()


class Says(Evaluator):
    """Gives the answers that it is made with."""

    def __init__(self, answers: object, name: str = "top1") -> None:
        self.answers = {name: answers}

    def evaluate(self, frozen: Frozen, data: Dataset, out_dir: Path) -> Metrics:
        return Metrics({"top1": 50.0}, answers=self.answers)  # type: ignore[arg-type]


YES = torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("evaluator", "sentence"),
    [
        (Says(Answers(torch.arange(3), YES), "top5"), "answers of 'top5', which is no metric"),
        (Says([True]), "expected sslkit.parts.Answers, got list"),
        (Says(Answers(torch.arange(3.0), YES)), "images: expected an int64 tensor"),
        (Says(Answers(torch.arange(3), YES.float())), r"right: expected a bool tensor \[3\]"),
        (Says(Answers(torch.arange(4), YES)), r"right: expected a bool tensor \[4\]"),
        (Says(Answers(torch.arange(3) - 1, YES)), "an index is negative"),
        (Says(Answers(torch.arange(0), YES[:0])), "one or more image indices"),
    ],
)
def test_answers_are_checked(evaluator: Evaluator, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"student/it: .*{sentence}"):
        evaluate(evaluator, tmp_path)


def counted(right: int, asked: int) -> Tally:
    return Tally((np.arange(asked) < right).astype(np.int32), np.ones(asked, np.int32))


def test_sentences_say_how_far_and_whether_that_is_beyond_noise() -> None:
    name = "teacher/knn/k20_top1"
    summary = {name: 50.0, "teacher/knn/raw_pixels_k20_top1": 48.5, f"start/{name}": 40.0}
    after = {name: counted(100, 200), "teacher/knn/raw_pixels_k20_top1": counted(97, 200)}
    rows = headlines(summary, {name: counted(80, 200)}, after, lambda _: "k-NN top-1 (k = 20)")
    rose, pixels = meaning(rows)
    assert re.fullmatch(
        r"k-NN top-1 \(k = 20\) rose from 40.0% to 50.0% \(\+10.0 points, 95% interval [56].\d to 14.\d, "
        r"200 test images\): beyond noise",
        rose,
    )
    assert "is above raw pixels: 50.0% and 48.5% (+1.5 points, 95% interval 0.0 to" in pixels
    assert pixels.endswith("within noise")


def test_sentences_on_falling_and_equal_numbers_and_on_two_nets() -> None:
    teacher, student = "teacher/knn/k5_top1", "student/knn/k5_top1"
    summary = {teacher: 30.0, student: 50.0, f"start/{teacher}": 50.0, f"start/{student}": 50.0}
    start = {teacher: counted(100, 200), student: counted(100, 200)}
    said = meaning(headlines(summary, start, {teacher: counted(60, 200), student: counted(100, 200)}, lambda _: "k-NN"))
    assert said[0].startswith("teacher: k-NN fell from 50.0% to 30.0% (-20.0 points, 95% interval -2")
    assert said[1] == "student: k-NN stayed at 50.0%: within noise"
    assert said[2].startswith("teacher: k-NN is below the student: 30.0% and 50.0% (-20.0 points, 95% interval -2")
    assert said[2].endswith("beyond noise")


def test_without_answers_there_is_no_word_on_noise() -> None:
    name = "teacher/mine/top1"
    assert meaning(headlines({name: 50.0, f"start/{name}": 40.0})) == [
        f"{name} rose from 40.0% to 50.0% (+10.0 points)"
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in between, so that its start was measured by another process than its end."""
    out = tmp_path_factory.mktemp("closing") / "run"
    assert not sslkit.fit(tiny(), {"train.max_steps": 7}, out=out).summary
    sslkit.fit(tiny(), out=out)
    return out


def test_the_start_that_an_earlier_process_measured_pairs_with_the_end(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    start, after = read_tallies(finished, 0), read_tallies(finished, summary["steps"])
    for net in ("teacher", "student"):
        name = f"{net}/knn/k5_top1"
        assert start[name].percent == pytest.approx(summary[f"start/{name}"])
        assert after[name].percent == pytest.approx(summary[name])
    capsys.readouterr()
    sslkit.fit(tiny(), out=finished)
    said = capsys.readouterr().out
    name = "teacher/knn/k5_top1"
    gap = paired_difference(after[name], start[name])
    assert gap is not None
    verdict = "beyond noise" if gap.beyond_noise else "within noise"
    line = f"({gap.mean:+.1f} points, 95% interval {gap.low:.1f} to {gap.high:.1f}, 360 test images): {verdict}"
    assert f"teacher: k-NN top-1 (k = 5) {'rose' if gap.mean > 0 else 'fell'} from" in said
    assert line in said
    low, high = share_interval(after[name])
    assert f"{low:.1f} to {high:.1f}" in said.split("teacher: k-NN top-1 (k = 5) ")[1]


def test_the_table_says_where_a_gain_is_within_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"seconds": 1.0, "images_per_second": 2.0, "steps": 5}
    for name, start, end in (("knn", 100, 103), ("linear", 100, 150)):
        summary |= {f"teacher/{name}/top1": end / 2, f"start/teacher/{name}/top1": start / 2}
    names = {"knn": (100, 103), "linear": (100, 150)}
    for place, step in ((0, 0), (1, 5)):
        counts = {f"teacher/{name}/top1": counted(both[place], 200) for name, both in names.items()}
        write_tallies(tmp_path, step, counts)
    show_results(tmp_path, summary)
    table = capsys.readouterr().out.split("└")[0]
    knn, linear = (table.split(f"teacher/{name}/top1")[1] for name in ("knn", "linear"))
    assert "within noise" in knn.split("teacher/")[0]
    assert "within noise" not in linear


def test_older_and_damaged_runs_show_their_numbers_without_intervals(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = shutil.copytree(finished, tmp_path / "old")
    shutil.rmtree(old / "answers")
    sslkit.fit(tiny(), out=old)
    said = capsys.readouterr()
    assert "k-NN top-1 (k = 5)" in said.out
    assert "interval" not in said.out
    damaged = shutil.copytree(finished, tmp_path / "damaged")
    for file in (damaged / "answers").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    sslkit.fit(tiny(), out=damaged)
    said = capsys.readouterr()
    assert "k-NN top-1 (k = 5)" in said.out
    assert "cannot be read" in said.err


def test_eval_shows_intervals_and_compares_with_raw_pixels(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["knn", "--evaluate.knn.raw_pixels", "true", "--out", str(tmp_path)]
    assert main(["eval", str(finished), *words]) == 0
    said = capsys.readouterr().out
    assert "95% interval" in said
    assert re.search(r"k-NN top-1 \(k = 5\) is \w+ raw pixels: .* test images\): (beyond|within) noise", said)


def test_answers_survive_the_disk(tmp_path: Path) -> None:
    counts = {"teacher/knn/k5_top1": counted(3, 7), "student/a-b/x.y_top1": Tally(np.array([2, 0]), np.array([3, 0]))}
    write_tallies(tmp_path, 4, counts)
    write_tallies(tmp_path, 4, counts)
    read = read_tallies(tmp_path, 4)
    assert read.keys() == counts.keys()
    for name, tally in counts.items():
        assert read[name].right.tolist() == tally.right.tolist()
        assert read[name].asked.tolist() == tally.asked.tolist()
    assert [file.name for file in (tmp_path / "answers").iterdir()] == ["step-00000004.npz"]
    assert read_tallies(tmp_path, 5) == {}


def test_metrics_have_names_for_people() -> None:
    assert KNN.in_words("k20_top1") == "k-NN top-1 (k = 20)"
    assert LowShot.in_words("p10_top1") == "few labels top-1 (10% of the labels)"
    assert Says.in_words("top1") == "says top-1"
