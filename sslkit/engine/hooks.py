"""Calls the hooks of a run: acting ones stop it when they fail, watching ones are switched off."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pluggy

from sslkit.errors import UserError, blame, nearest
from sslkit.parts.watcher import Watcher
from sslkit.plugins.hookspecs import ActingHooks, WatchingHooks

log = logging.getLogger("sslkit")


def _manager(specs: type, parts: Mapping[str, object], what: str) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("sslkit")
    manager.add_hookspecs(specs)
    known = [hook for hook in vars(specs) if not hook.startswith("_")]
    for label, part in parts.items():
        owner = part if isinstance(part, type) else type(part)
        for name in dir(owner):
            if name not in known and getattr(getattr(owner, name), "sslkit_impl", None):
                raise UserError(
                    f"{label} implements a {what} hook {name!r} that does not exist; {nearest(name, known)}"
                )
        try:
            manager.register(part, name=label)
        except pluggy.PluginValidationError as error:
            raise UserError(f"{label}: {error}") from error
        _refuse_order(manager, part, label)
    return manager


def _refuse_order(manager: pluggy.PluginManager, part: object, label: str) -> None:
    """Hooks fire in the order of the parts: flags of pluggy that would have no effect are refused."""
    for caller in manager.get_hookcallers(part) or []:
        for impl in caller.get_hookimpls():
            if impl.plugin is part and (impl.tryfirst or impl.trylast or impl.wrapper or impl.hookwrapper):
                raise UserError(f"{label}: leave tryfirst, trylast or wrapper out of its hook {caller.name}")


def check_hooks(target: type, label: str, watching: bool = False) -> None:
    """Whether the hooks of a class exist and take arguments that they have.

    Args:
        target: of a part of the student, or of a watcher.
        label: how messages call it.
        watching: whether it is a watcher.

    Raises:
        UserError: if not.
    """
    _manager(WatchingHooks if watching else ActingHooks, {label: target}, "watching" if watching else "run")


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
        for impl in list(self._manager.hook.__dict__[hook].get_hookimpls()):
            with blame(impl.plugin_name, f"in its hook {hook} at step {arguments['at'].step}"):
                impl.function(*[arguments[name] for name in impl.argnames])


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
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a watcher raises, the training goes on
                self._switch_off(impl.plugin_name, hook, error)

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """What the watchers that are still on remember, by id."""
        states = {}
        for name, watcher in list(self._watchers.items()):
            try:
                # what JSON cannot hold must not take a checkpoint down
                states[name] = json.loads(json.dumps(watcher.state_dict()))
            except Exception as error:  # noqa: BLE001 - as above
                self._switch_off(name, "state_dict", error)
        return states

    def load_state_dict(self, state: Mapping[str, dict[str, Any]]) -> None:
        """Give each watcher its state back; watchers that are new start anew."""
        for name, watcher in list(self._watchers.items()):
            try:
                if state.get(name):
                    watcher.load_state_dict(state[name])
            except Exception as error:  # noqa: BLE001 - as above
                self._switch_off(name, "load_state_dict", error)

    def _switch_off(self, name: str, where: str, error: BaseException) -> None:
        self._manager.unregister(self._watchers.pop(name))
        log.warning("watcher %r failed in %s and is switched off: %s: %s", name, where, type(error).__name__, error)
