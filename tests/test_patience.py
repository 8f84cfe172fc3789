"""What takes long is reported while it does."""

from __future__ import annotations

import threading

from sslkit.engine.patience import reminding


def test_what_takes_long_is_said_once_and_while_it_does() -> None:
    said, heard = [], threading.Event()

    def tell(text: str) -> None:
        said.append(text)
        heard.set()

    with reminding(lambda: "compiling", tell, seconds=0.01):
        assert heard.wait(60)
    assert said == ["compiling"]


def test_what_is_over_in_time_is_not_mentioned() -> None:
    said: list[str] = []
    before = threading.active_count()
    with reminding(lambda: "never", said.append, seconds=3600):
        pass
    assert said == []
    assert threading.active_count() <= before + 1
