"""Calls the hooks of a run: acting ones stop it when they fail, watching ones are switched off."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pluggy

from sslkit.errors import RunError, UserError, nearest
from sslkit.parts.watcher import Watcher
from sslkit.plugins.hookspecs import ActingHooks, WatchingHooks

log = logging.getLogger("sslkit")


def _manager(specs: type, parts: Mapping[str, object], what: str) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("sslkit")
    manager.add_hookspecs(specs)
    known = [hook for hook in vars(specs) if not hook.startswith("_")]
    for label, part in parts.items():
        for name in dir(type(part)):
            if name not in known and getattr(getattr(type(part), name), "sslkit_impl", None):
                raise UserError(
                    f"{label} implements a {what} hook {name!r} that does not exist; {nearest(name, known)}"
                )
        try:
            manager.register(part, name=label)
        except pluggy.PluginValidationError as error:
            raise UserError(f"{label}: {error}") from error
    return manager


class Acting:
    """The acting hooks of the student's parts.

    Args:
        parts: by a label for messages, such as ``the head 'x'``.

    Raises:
        UserError: if a part implements a hook that does not exist, or with arguments that it has not.
    """

    def __init__(self, parts: Mapping[str, object]) -> None:
        self._manager = _manager(ActingHooks, parts, "run")

    def call(self, hook: str, **arguments: Any) -> None:
        """Fire a hook.

        Raises:
            RunError: naming part and hook, if one of them raises.
        """
        for impl in self._manager.hook.__dict__[hook].get_hookimpls():
            try:
                impl.function(*[arguments[name] for name in impl.argnames])
            except Exception as error:
                at = arguments["at"]
                raise RunError(
                    f"{impl.plugin_name} failed in its hook {hook} at step {at.step}: {type(error).__name__}: {error}"
                ) from error


class Watching:
    """The watchers of a run, on the first rank.

    Args:
        watchers: by id; empty on other ranks.

    Raises:
        UserError: if a watcher implements a hook that does not exist, or with arguments that it has not.
    """

    def __init__(self, watchers: Mapping[str, Watcher]) -> None:
        self._watchers = dict(watchers)
        self._manager = _manager(WatchingHooks, watchers, "watching")

    def call(self, hook: str, **arguments: Any) -> None:
        """Fire a hook; a watcher that raises is switched off, with a warning that names it."""
        for impl in list(self._manager.hook.__dict__[hook].get_hookimpls()):
            try:
                impl.function(*[arguments[name] for name in impl.argnames])
            except Exception as error:  # noqa: BLE001 - whatever a watcher raises, the training goes on
                self._manager.unregister(impl.plugin)
                del self._watchers[impl.plugin_name]
                log.warning(
                    "watcher %r failed in %s and is switched off: %s: %s",
                    impl.plugin_name, hook, type(error).__name__, error,
                )  # fmt: skip

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """What the watchers that are still on remember, by id."""
        return {name: watcher.state_dict() for name, watcher in self._watchers.items()}

    def load_state_dict(self, state: Mapping[str, dict[str, Any]]) -> None:
        """Give each watcher its state back; watchers that are new start anew."""
        for name, watcher in self._watchers.items():
            if state.get(name):
                watcher.load_state_dict(state[name])
