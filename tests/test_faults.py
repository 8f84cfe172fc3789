"""The first cases of every suite of faults; ``python -m tests.faults`` runs them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.campaign import SUITES, read, run, summary
from faults.suite import Suite


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_first_cases(suite: Suite, tmp_path: Path) -> None:
    for number in range(suite.first):
        suite.case(number, tmp_path / str(number))


def test_a_campaign_keeps_what_fails_and_goes_on_where_it_was(tmp_path: Path) -> None:
    seen = []

    def case(number: int, folder: Path) -> None:
        seen.append(number)
        folder.mkdir()
        assert number != 2, "two is wrong"

    suite = Suite("s", "none is wrong", 4, 1, case)
    journal = tmp_path / "j.jsonl"
    run([suite], journal)
    with journal.open("a") as lines:
        lines.write('{"suite": "s", "ca')  # a kill in the middle of a line
    (row,) = summary([suite], journal)
    assert (row["done"], row["missed"], row["examples"][0]["case"]) == (4, 1, 2)
    run([suite], journal)
    assert seen == [0, 1, 2, 3]
    assert len(read(journal)) == 4
