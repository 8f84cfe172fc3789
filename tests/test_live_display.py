"""What a person sees while a run goes on: on terminals of any width, with warnings in between, in time."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import sys
from pathlib import Path

import pytest
import rich
from rich.console import Console

from forked import fork, wait
from sslkit.errors import UserError
from sslkit.parts import Position, RunInfo, tell
from sslkit.report.console import evaluation_bar, logging_to
from sslkit_vision.live_bar import Picture, Task, packed
from sslkit_vision.progress import ProgressDisplay
from sslkit_vision.time_left import TimeLeft

NUMBERS = ("loss 5.1234", "teacher entropy 4.321", "lr 5.00e-04", "812 images/s")


def drawn(picture: Picture, width: int) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width, force_terminal=True, color_system=None, legacy_windows=False).print(picture)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 200])
def test_the_bar_fills_the_width_and_no_word_breaks(width: int) -> None:
    training = Task("epoch 3/30  step 123/1230", 123, 1230, "0:12:34 left")
    evaluating = Task("evaluating: teacher knn  128/360 images", 128, 360)
    lines = drawn(Picture((training, evaluating), NUMBERS), width)
    assert max(map(len, lines)) == width
    bars = [line for line in lines if "━" in line]
    assert len(bars) == 2
    assert all(len(line) == width for line in bars)
    text = "\n".join(lines)
    for whole in ("epoch 3/30", "step 123/1230", "0:12:34 left", "128/360 images", *NUMBERS):
        assert whole in text, text


def test_parts_stay_whole_and_in_order() -> None:
    assert packed(["ab", "cd", "efgh", "i"], 6) == ["ab  cd", "efgh", "i"]
    assert packed(["longer than it"], 4) == ["longer than it"]
    assert packed([], 4) == []


def test_lines_on_a_terminal_break_between_words(capsys: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    rich.reconfigure(file=text, force_terminal=True, width=20)
    try:
        tell("the run lies in runs/quite_a_long_name_of_a_folder now")
        tell("  a command # and what it is for")
    finally:
        rich.reconfigure()
    assert text.getvalue().splitlines() == [
        "the run lies in", "runs/quite_a_long_name_of_a_folder", "now", "  a command # and", "  what it is for",
    ]  # fmt: skip


def test_the_time_left_counts_steps_and_evaluations_each_at_its_own_pace() -> None:
    left = TimeLeft(100, [0, 50, 100])
    assert left.seconds(0, 0.0) is None
    left.evaluation_began(0.0)
    left.evaluation_began(3.0)  # the next evaluator of the same evaluation
    left.evaluation_over(0, 6.0)
    left.stepped(1, 60.0)  # compiled for nearly a minute
    assert left.seconds(1, 60.0) is None
    left.stepped(11, 70.0)
    assert left.seconds(11, 70.0) == pytest.approx(89 * 1.0 + 2 * 6)
    left.evaluation_began(109.0)  # after step 50
    assert left.seconds(50, 111.0) == pytest.approx(50 * 1.0 + 2 * 6 - 2)
    left.evaluation_over(50, 119.0)
    assert left.seconds(50, 119.0) == pytest.approx(50 * 1.0 + 8)
    assert left.seconds(100, 169.0) == pytest.approx(8)


def info(folder: Path, stop: int) -> RunInfo:
    return RunInfo(folder, {}, 0, 100, 10, batch_size=4, device="cpu", world_size=1, stop=stop)


def test_it_counts_to_where_the_run_stops(tmp_path: Path) -> None:
    text = io.StringIO()
    rich.reconfigure(file=text, force_terminal=False, width=140)
    try:
        display = ProgressDisplay(every_seconds=1e-9)
        display.fit_start(info(tmp_path, stop=20))
        for step in range(20):
            display.step_end(Position(step, 100, 10))
            display.epoch_end(Position(step, 100, 10))
            display.evaluation_progress("teacher/knn", 3, 9)
    finally:
        rich.reconfigure()
    lines = text.getvalue().splitlines()
    assert lines[0] == "epoch 1/2  step 1/20"
    assert lines[1] == "evaluating: teacher knn  3/9 images"
    assert lines[-2].startswith("epoch 2/2  step 20/20  0:00:00 left")


WIDTH = 60


def on_a_terminal(work: object, folder: Path) -> str:
    """What a forked process writes to a terminal of that width, standard error included."""
    above, below = pty.openpty()

    def run() -> int:
        os.dup2(below, 1)
        os.dup2(below, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        sys.__stderr__ = sys.stderr  # type: ignore[misc]
        os.environ.update(TERM="xterm", COLUMNS=str(WIDTH), LINES="40")
        os.environ.pop("NO_COLOR", None)
        rich.reconfigure()
        work()  # type: ignore[operator]
        return 0

    child = fork(run, folder / "log.txt")
    os.close(below)
    shown = b""
    try:
        while more := os.read(above, 4096):
            shown += more
    except OSError:  # the other side has been closed
        pass
    assert wait(child) == 0, (folder / "log.txt").read_text()
    return shown.decode()


def test_a_warning_stands_above_the_bar_and_never_in_it(tmp_path: Path) -> None:
    def work() -> None:
        with logging_to(tmp_path / "run.log"):
            display = ProgressDisplay()
            display.fit_start(info(tmp_path, stop=100))
            for step in range(30):
                display.step_end(Position(step, 100, 10))
                logging.getLogger("sslkit").warning("the warning of step %d", step)
                print("a library's line", file=sys.stderr)
            display.fit_end({})

    shown = re.sub(r"\x1b\[[0-9;?]*m", "", on_a_terminal(work, tmp_path))
    # a line that is printed begins where the bar was wiped away, or where the last one ended
    for said in ("WARNING: the warning of step", "a library's line"):
        befores = [before[-8:] for before in shown.split(said)[:-1]]
        assert len(befores) == 30
        assert all(before.endswith(("\x1b[2K", "\r\n", "\x1b[?25l")) for before in befores), befores
    assert shown.rstrip().endswith("\x1b[?25h")
    assert (tmp_path / "run.log").read_text().count("the warning of step") == 30


def test_an_evaluation_alone_shows_how_far_it_is(tmp_path: Path) -> None:
    def work() -> None:
        with evaluation_bar() as progress:
            progress("teacher/linear", 0, 0)
            progress("teacher/linear", 128, 360)

    shown = re.sub(r"\x1b\[[0-9;?]*m", "", on_a_terminal(work, tmp_path))
    assert re.search(r"teacher linear ━+.*128/360", shown)
    assert "\x1b[2K" in shown.rpartition("128/360")[2]  # it goes away


def test_standard_error_that_is_a_file_gets_the_warnings_and_not_the_terminal(tmp_path: Path) -> None:
    def work() -> None:
        errors = (tmp_path / "errors.txt").open("w")
        sys.stderr = sys.__stderr__ = errors  # type: ignore[misc]
        with logging_to(None):
            display = ProgressDisplay()
            display.fit_start(info(tmp_path, stop=100))
            logging.getLogger("sslkit").warning("kept")
            print("kept too", file=sys.stderr)
            display.fit_end({})
        errors.flush()

    assert "kept" not in on_a_terminal(work, tmp_path)
    assert (tmp_path / "errors.txt").read_text() == "WARNING: kept\nkept too\n"


def test_an_option_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UserError, match="every_seconds"):
        ProgressDisplay(every_seconds=-1)
