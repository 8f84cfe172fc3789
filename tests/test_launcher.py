"""What a launcher leaves in the environment, whole, in halves and wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch

from forked import Sslkit
from sslkit.cli.main import main
from sslkit.data.loading import default_workers
from sslkit.engine.distributed import choose_device, process_group
from sslkit.errors import UserError
from sslkit.launcher import VARIABLES, Launched, launched, speaks, without_launcher
from tiny_run import tiny, write

WHOLE = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, Launched()),
        ({"WORLD_SIZE": ""}, Launched()),
        (dict.fromkeys(VARIABLES, ""), Launched()),
        ({"WORLD_SIZE": "1"}, Launched()),
        ({"RANK": "0"}, Launched()),
        ({"WORLD_SIZE": " 1 ", "RANK": "0", "LOCAL_RANK": "0"}, Launched(local_rank=0)),
        ({"LOCAL_WORLD_SIZE": ""}, Launched()),
        (WHOLE, Launched(2, 1, 1)),
        (WHOLE | {"LOCAL_RANK": "", "LOCAL_WORLD_SIZE": "2"}, Launched(2, 1, None, 2)),
    ],
)
def test_what_is_whole_or_empty_is_a_place(given: dict[str, str], place: Launched) -> None:
    assert launched(given) == place


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2 in the environment, but RANK, MASTER_ADDR and MASTER_PORT are not set"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "but MASTER_ADDR and MASTER_PORT are not set"),
        (WHOLE | {"MASTER_PORT": ""}, "but MASTER_PORT is not set"),
        (WHOLE | {"MASTER_ADDR": " "}, "but MASTER_ADDR is not set"),
        ({"RANK": "1"}, "RANK is 1 in the environment, but WORLD_SIZE is not set"),
        (WHOLE | {"RANK": "2"}, "RANK is 2, but WORLD_SIZE is 2: ranks count from 0 to 1"),
        ({"WORLD_SIZE": "1", "RANK": "1"}, "RANK is 1, but WORLD_SIZE is 1"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two': expected an integer >= 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0': expected an integer >= 1"),
        ({"RANK": "x"}, "RANK is 'x': expected an integer >= 0"),
        (WHOLE | {"LOCAL_RANK": "-1"}, "LOCAL_RANK is '-1': expected an integer >= 0"),
        ({"LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE is '0': expected an integer >= 1"),
        (WHOLE | {"MASTER_PORT": "http"}, "MASTER_PORT is 'http'"),
        (WHOLE | {"MASTER_PORT": "70000"}, "MASTER_PORT is 70000: expected the number of a port"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(UserError) as told:
        launched(given)
    assert said in str(told.value)


def test_an_error_about_the_variables_is_never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, loud in (({"RANK": "3"}, True), ({"RANK": "x"}, True), (WHOLE, False), (WHOLE | {"RANK": "0"}, True)):
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            assert speaks() is loud, given


def test_everything_that_reads_them_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="RANK"):
        choose_device("cpu")
    with pytest.raises(UserError, match="RANK"), process_group(torch.device("cpu")):
        pass
    with pytest.raises(UserError, match="RANK"):
        default_workers()


def test_fit_says_it_in_a_sentence_and_trains_where_they_are_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, tiny())
    words = ["fit", "--recipe", str(file), "--out", str(tmp_path / "run"), "--train.max_steps", "1"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: WORLD_SIZE is 2")
    assert told.count("\n") == 1
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    run = Sslkit(tmp_path, *words)
    assert run.code() == 0, run.complained


def test_a_port_in_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in (WHOLE | {"RANK": "0", "MASTER_PORT": str(port)}).items():
            monkeypatch.setenv(name, value)
        with (
            pytest.raises(UserError, match=f"MASTER_PORT: .* cannot listen at port {port} .* another program"),
            process_group(torch.device("cpu"), 20),
        ):
            pass


def test_runs_that_a_run_starts_are_runs_of_their_own() -> None:
    assert without_launcher({**WHOLE, "TORCHELASTIC_RUN_ID": "1", "HOME": "/"}) == {"HOME": "/"}
