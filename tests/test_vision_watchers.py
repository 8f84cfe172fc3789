"""Watchers: what they write, and that a resumed run leaves the same files as one without interruption."""

from __future__ import annotations

import io
import json
import math
import time

import pandas as pd
import pluggy
import pytest
import rich

from sslkit.errors import UserError
from sslkit.parts import Position, Row, RunInfo
from sslkit.plugins.hookspecs import WatchingHooks
from sslkit_vision.csv_log import CsvLog
from sslkit_vision.progress import ProgressDisplay, headline, remaining, status
from sslkit_vision.tensorboard_log import TensorboardLog


def run_info(folder, start_step=0, total=20, steps_per_epoch=5):
    return RunInfo(folder, {}, start_step, total, steps_per_epoch, batch_size=4, device="cpu", world_size=1)


def rows(step):
    value = math.sin(step) / 3
    return [Row(step, step / 5, "loss", value), Row(step, step / 5, "dino/teacher_entropy", value * 1e-20)]


def drive(watcher, folder, first, last):
    """Run a watcher through its hooks as an engine does, over steps ``first + 1 .. last``."""
    manager = pluggy.PluginManager("sslkit")
    manager.add_hookspecs(WatchingHooks)
    manager.register(watcher)
    manager.check_pending()
    manager.hook.fit_start(run=run_info(folder, first))
    if first == 0:
        manager.hook.rows_logged(rows=[Row(0, 0.0, "teacher/knn/k20_top1", 10.0)])
        manager.hook.evaluation_end(step=0, values={"teacher/knn/k20_top1": 10.0})
    for step in range(first, last):
        at = Position(step, 20, 5)
        manager.hook.step_end(at=at, metrics={}, student=None, teacher=None)
        manager.hook.rows_logged(rows=rows(step + 1))
        if at.ends_epoch:
            manager.hook.epoch_end(at=at)
    return manager.hook


def test_csv_is_tidy_and_keeps_every_digit(tmp_path):
    drive(CsvLog(), tmp_path, 0, 7)
    table = pd.read_csv(tmp_path / "metrics.csv", dtype={"value": str})
    assert list(table.columns) == ["step", "epoch", "name", "value"]
    losses = [float(text) for text in table[table.name == "loss"].value]
    assert losses == [math.sin(step) / 3 for step in range(1, 8)]
    assert table.step.tolist()[:3] == [0, 1, 1]


def test_csv_of_a_killed_and_resumed_run_is_identical(tmp_path):
    for name in ("straight", "killed", "restarted"):
        (tmp_path / name).mkdir()
    drive(CsvLog(), tmp_path / "straight", 0, 20)
    drive(CsvLog(), tmp_path / "killed", 0, 13)
    with (tmp_path / "killed" / "metrics.csv").open("a") as file:
        file.write("14,2.8,loss,0.0")  # killed while writing
    drive(CsvLog(), tmp_path / "killed", 10, 20)
    drive(CsvLog(), tmp_path / "restarted", 0, 3)  # killed before its first checkpoint
    drive(CsvLog(), tmp_path / "restarted", 0, 20)
    straight = (tmp_path / "straight" / "metrics.csv").read_bytes()
    assert (tmp_path / "killed" / "metrics.csv").read_bytes() == straight
    assert (tmp_path / "restarted" / "metrics.csv").read_bytes() == straight
    assert [file.name for file in (tmp_path / "killed").iterdir()] == ["metrics.csv"]


def test_csv_holds_odd_names_and_values(tmp_path):
    log = CsvLog()
    log.fit_start(run_info(tmp_path))
    odd = [Row(1, 0.1, 'a,"b"', math.nan), Row(1, 0.1, "inf", -math.inf), Row(1, 0.1, "whole", 3)]
    log.rows_logged(odd)
    table = pd.read_csv(tmp_path / "metrics.csv")
    assert table.name.tolist() == ['a,"b"', "inf", "whole"]
    assert math.isnan(table.value[0])
    assert table.value.tolist()[1:] == [-math.inf, 3.0]


def test_rows_before_the_start_are_an_error(tmp_path):
    for watcher in (CsvLog(), TensorboardLog()):
        with pytest.raises(RuntimeError, match="fit_start"):
            watcher.rows_logged(rows(1))


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_of_a_killed_and_resumed_run_shows_the_same(tmp_path):
    drive(TensorboardLog(), tmp_path / "straight", 0, 20).fit_end(summary={})
    first = TensorboardLog()
    drive(first, tmp_path / "killed", 0, 10)
    saved = json.loads(json.dumps(first.state_dict()))
    # after the checkpoint of step 10: its evaluation and three steps more are logged, then comes the kill
    first.rows_logged([Row(10, 2.0, "teacher/knn/k20_top1", 50.0), *rows(11), *rows(12), *rows(13)])
    # event files are read in the order of their names: the second of their birth, then a count without leading zeros
    time.sleep(1.1)
    again = TensorboardLog()
    again.load_state_dict(saved)
    resumed = drive(again, tmp_path / "killed", 10, 20)
    resumed.fit_end(summary={})
    first.run_failed(error=KeyboardInterrupt())
    straight = scalars(tmp_path / "straight")
    assert set(straight) == {"loss", "dino/teacher_entropy", "teacher/knn/k20_top1"}
    assert [step for step, _ in straight["loss"]] == list(range(1, 21))
    assert scalars(tmp_path / "killed") == straight


@pytest.fixture
def screen():
    """The console that displays print to, as a text."""

    def make(terminal):
        text = io.StringIO()
        rich.reconfigure(file=text, force_terminal=terminal, width=140)
        return text

    yield make
    rich.reconfigure()


def test_progress_without_a_terminal_prints_a_line_an_epoch_and_each_evaluation(tmp_path, screen):
    text = screen(terminal=False)
    drive(ProgressDisplay(), tmp_path, 0, 20).fit_end(summary={})
    lines = text.getvalue().splitlines()
    assert lines[0] == "evaluation before training: teacher/knn/k20_top1 10"
    assert [line.split("  ")[:2] for line in lines[1:]] == [
        [f"epoch {epoch}/4", f"step {5 * epoch}/20"] for epoch in (1, 2, 3, 4)
    ]
    assert all("loss " in line and "teacher entropy " in line and " left" in line for line in lines[1:])
    assert "\x1b" not in text.getvalue()


def test_progress_prints_within_a_long_epoch_when_time_has_passed(tmp_path, screen):
    text = screen(terminal=False)
    drive(ProgressDisplay(every_seconds=1e-9), tmp_path, 0, 5)
    assert [line.split("  ")[1] for line in text.getvalue().splitlines()[1:]] == [f"step {n}/20" for n in range(1, 6)]


def test_progress_on_a_terminal_is_a_bar_that_ends(tmp_path, screen):
    text = screen(terminal=True)
    hook = drive(ProgressDisplay(), tmp_path, 10, 20)
    hook.rows_logged(rows=[Row(20, 4.0, "lr", 1e-3), Row(20, 4.0, "time/images_per_second", 812.4)])
    hook.evaluation_end(step=20, values={"teacher/knn/k20_top1": 97.68})
    hook.fit_end(summary={})
    shown = text.getvalue()
    for piece in ("epoch 4/4", "step 20/20", "teacher entropy", "lr 1.00e-03", "812 images/s"):
        assert piece in shown
    assert "evaluation after 4 epochs: teacher/knn/k20_top1 97.68" in shown
    assert shown.rstrip().endswith("\x1b[?25h")  # the cursor is back


def test_a_failing_run_closes_the_bar(tmp_path, screen):
    text = screen(terminal=True)
    drive(ProgressDisplay(), tmp_path, 10, 12).run_failed(error=RuntimeError("x"))
    assert text.getvalue().rstrip().endswith("\x1b[?25h")


def test_the_status_shows_what_there_is():
    assert status({}) == ((), "")
    latest = {"loss": 5.0, "lr": 5e-4, "dino/teacher_entropy": 6.25, "time/images_per_second": 99.6, "other": 1.0}
    assert status(latest) == (("loss 5.0000", "teacher entropy 6.250", "lr 5.00e-04"), "100 images/s")
    assert remaining(3725.2) == "1:02:05 left"
    assert remaining(90000) == "1 day, 1:00:00 left"
    assert remaining(None) == ""


def test_the_first_number_of_each_evaluator_stands_in_words_and_with_its_net_where_there_are_several():
    words = {"teacher/knn/k20_top1": "k-NN top-1", "student/knn/k20_top1": "k-NN top-1"}
    in_words = lambda name: words.get(name, name)  # noqa: E731
    values = {"teacher/knn/k20_top1": 97.68, "teacher/knn/k200_top1": 96.0, "teacher/own/x": 1.0}
    assert headline(values, in_words) == "k-NN top-1 97.68; teacher/own/x 1"
    assert headline(values | {"student/knn/k20_top1": 95.0}, in_words) == (
        "teacher: k-NN top-1 97.68; teacher/own/x 1; student: k-NN top-1 95"
    )


def test_a_senseless_interval_is_refused():
    with pytest.raises(UserError, match="every_seconds"):
        ProgressDisplay(every_seconds=0.0)
