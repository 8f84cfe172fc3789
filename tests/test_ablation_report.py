"""The report of an ablation: what was compared, where and when, and intervals as numbers and as a plot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sslkit.ablation.forest import forest
from sslkit.ablation.grid import Grid, axis_of, cells_of
from sslkit.ablation.layout import Layout
from sslkit.ablation.plan import Member, plan
from sslkit.ablation.results import write_results
from sslkit.ablation.table import lines_of
from sslkit.evaluation.intervals import Tally, paired_difference
from sslkit.plugins.manager import load_registry
from sslkit.report.tallies import write_tallies
from test_ablate import rows_of
from tiny_grid import METRIC, SHORT

STEPS, IMAGES = 20, 200


def answers(right: int) -> Tally:
    return Tally((np.arange(IMAGES) < right).astype(np.int32), np.ones(IMAGES, np.int32))


def finish(layout: Layout, member: Member, right: int, device: str = "A processor") -> None:
    """What a run leaves that is read of it."""
    run = layout.run(member.folder)
    run.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps({METRIC: 100 * right / IMAGES, "steps": STEPS, "seconds": 1.0}))
    (run / "environment.json").write_text(json.dumps({"device": device, "cores": 4, "versions": {"torch": "2.10"}}))
    write_tallies(run, STEPS, {METRIC: answers(right)})


def written(
    folder: Path, axes: dict[str, list[object]], right: list[int], seeds: tuple[int, ...] = (0,), devices: int = 1
) -> tuple[str, str]:
    """``table.md`` and ``report.html`` of finished runs that answered these numbers of images correctly."""
    grid = Grid(SHORT, cells_of({key: axis_of(key, values) for key, values in axes.items()}), seeds, (METRIC,))
    members, layout = plan(grid, load_registry()), Layout(folder)
    layout.make()
    for number, (member, count) in enumerate(zip(members, right, strict=True)):
        finish(layout, member, count, f"Processor {number % devices}")
    write_results(grid, members, layout)
    return (folder / "table.md").read_text(), (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return written(tmp_path_factory.mktemp("one"), {"head.out_dim": [16, 32, 64]}, [100, 103, 150], devices=2)


def test_one_seed_has_intervals_over_test_images(one_seed: tuple[str, str]) -> None:
    table = one_seed[0]
    wilson = stats.binomtest(100, IMAGES).proportion_ci(method="wilson")
    assert f"| head.out_dim=16 | 50.00 ({100 * wilson.low:.2f} to {100 * wilson.high:.2f}) | - | 1 |  |  |  |" in table
    near, far = (paired_difference(answers(right), answers(100)) for right in (103, 150))
    assert near is not None
    assert far is not None
    assert re.search(rf"\| 1 \| \+1.50 \| {near.low:.2f} to {near.high:.2f} \| ~ \|", table)
    assert re.search(rf"\| 1 \| \+25.00 \| {far.low:.2f} to {far.high:.2f} \|  \|", table)
    assert "do not say what another seed would give" in table


def test_the_report_says_what_was_compared_where_and_when(one_seed: tuple[str, str]) -> None:
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", one_seed[1]))
    assert facts["baseline"] == "head.out_dim=16"
    assert facts["data"] == "digits"
    assert facts["machine"] == "Processor 0, 4 cores, torch 2.10 (2 runs); Processor 1, 4 cores, torch 2.10 (1 runs)"
    assert facts["runs"] == "3 cells, 1 seed; 3 of 3 runs finished"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d{4}", facts["date"])


def places(row: str, kind: str) -> tuple[float, float]:
    """Where a mark begins and ends, in percent of the axis."""
    left, width = re.search(rf'class={kind} style="left:([\d.]+)%(?:;width:([\d.]+)%)?', row).groups()  # type: ignore[union-attr]
    return float(left), float(left) + float(width or 0)


def test_the_plot_has_a_dot_inside_an_interval_for_every_cell_but_the_baseline(one_seed: tuple[str, str]) -> None:
    (plot,) = re.findall(r"<figure class=forest>.*?</figure>", one_seed[1])
    assert "to the baseline <b>head.out_dim=16</b>, whose mean is 50.00" in plot
    near, far, scale = re.findall(r"<li.*?</li>", plot)
    for row in (near, far):
        low, high = places(row, "bar")
        assert 0 <= low < places(row, "dot")[0] < high <= 100
    # zero lies inside the first interval, and left of the second
    assert places(near, "bar")[0] <= places(near, "zero")[0] < places(near, "bar")[1]
    assert places(far, "zero")[0] < places(far, "bar")[0]
    assert "+1.50 (" in near
    assert "~" in near
    assert "~" not in far
    assert ">0<" in scale


def test_every_number_of_a_table_has_its_head_for_small_screens(one_seed: tuple[str, str]) -> None:
    row = next(row for row in re.findall(r"<tr.*?</tr>", one_seed[1]) if "+25.00" in row)
    heads = re.findall(r'data-head="(.*?)"', row)
    assert heads == ["cell", "mean", "deviation", "n", "difference", "95% interval"]
    assert "within noise" in next(row for row in re.findall(r"<tr.*?</tr>", one_seed[1]) if "+1.50" in row)


def test_several_seeds_keep_their_own_intervals(tmp_path: Path) -> None:
    table, page = written(tmp_path, {"head.out_dim": [16, 32]}, [100, 101, 102, 110, 112, 111], (0, 1, 2))
    wanted = stats.ttest_rel([55.0, 56.0, 55.5], [50.0, 50.5, 51.0]).confidence_interval(0.95)
    assert f"| +5.00 | {wanted.low:.2f} to {wanted.high:.2f} |  |" in table
    assert "50.50 |" in table
    assert "test images" not in table
    assert f"+5.00 ({wanted.low:.2f} to {wanted.high:.2f})" in page


def test_cells_of_other_images_are_not_paired(tmp_path: Path) -> None:
    table, page = written(tmp_path, {"data": ["digits", "synthetic"]}, [100, 150])
    assert "| 50.00 (" in table
    assert re.search(r"\| 75.00 \| - \| 1 \| \+25.00 \| - \|", table)
    assert "class=dot" in page
    assert "class=bar" not in page


def test_a_plot_without_a_difference_is_none() -> None:
    cells = cells_of({"a": axis_of("a", [1, 2])})
    assert forest(lines_of(cells, rows_of({"a=1": [50.0]}), "m")) == ""
