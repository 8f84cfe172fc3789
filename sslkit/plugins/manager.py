"""Finds plugins: entry points of the group ``sslkit`` and single files. Free of torch."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import pluggy

from sslkit import __version__
from sslkit.errors import UserError, nearest
from sslkit.parts.paths import home_path
from sslkit.plugins.hookspecs import PluginHooks
from sslkit.plugins.registry import Registrar, Registry

GROUP = "sslkit"
#: Environment variable: plugins that are left out.
VARIABLE = "SSLKIT_NO_PLUGINS"


def load_registry(plugin_files: Sequence[str | Path] | str | Path = (), without: Sequence[str] = ()) -> Registry:
    """The registry of all installed plugins and of the given single files, which are read anew each time.

    A broken installed plugin is kept in ``Registry.broken`` and told only where it matters; a broken
    file that the user named is an error at once.

    Args:
        plugin_files: single-file plugins.
        without: installed plugins that are not imported, by their names or their distributions'; the environment
            variable ``SSLKIT_NO_PLUGINS`` names more of them, with commas between.

    Raises:
        UserError: if a plugin file is missing or does not load, or there is no plugin to leave out.
    """
    installed = _installed(tuple(_switched_off(without).items()))
    registry = Registry(list(installed.parts), dict(installed.broken), dict(installed.off))
    manager = _manager()
    for file in map(home_path, [plugin_files] if isinstance(plugin_files, str | Path) else plugin_files):
        try:
            _register(manager, registry, _import_file(file), file.stem, str(file))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"--plugin {file}: {_reason(error)}") from error
    return registry


def _switched_off(without: Sequence[str]) -> dict[str, str]:
    """By what each named plugin or distribution is switched off.

    Raises:
        UserError: if one of them is not installed; in the environment variable too, so that a slip is not lost.
    """
    named = {name.strip(): VARIABLE for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}
    named |= dict.fromkeys(without, "--no-plugins")
    known = {name for point in entry_points(group=GROUP) for name in _names(point)} if named else set()
    for name, how in named.items():
        if name not in known:
            raise UserError(f"{how} {name}: there is no such plugin; {nearest(name, known)}")
    return named


def _names(point: EntryPoint) -> list[str]:
    return [point.name, point.dist.name] if point.dist else [point.name]


@cache
def _installed(off: tuple[tuple[str, str], ...]) -> Registry:
    registry, manager, switched = Registry(), _manager(), dict(off)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if how := next((switched[name] for name in _names(point) if name in switched), None):
            registry.off[point.name] = how
            continue
        try:
            _check_version(point)
            _register(manager, registry, point.load(), point.name, _distribution(point))
        except Exception as error:  # noqa: BLE001 - a stranger's plugin must not take the command down
            registry.broken[point.name] = _reason(error)
    return registry


def _check_version(point: EntryPoint) -> None:
    """Whether this sslkit is one that the plugin's distribution asks for.

    Raises:
        ValueError: if not.
    """
    wanted = [text for text in (point.dist.requires if point.dist else None) or [] if text.startswith("sslkit")]
    if not wanted:
        return
    from packaging.requirements import Requirement  # here: only packages of others need it

    for requirement in map(Requirement, wanted):
        holds = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if requirement.name == "sslkit" and holds and not requirement.specifier.contains(__version__, prereleases=True):
            raise ValueError(f"it needs sslkit{requirement.specifier}, and this is sslkit {__version__}")


def _reason(error: Exception) -> str:
    """On one line: pluggy's messages have several."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("sslkit")
    manager.add_hookspecs(PluginHooks)
    return manager


def _register(
    manager: pluggy.PluginManager, registry: Registry, module: ModuleType, name: str, distribution: str
) -> None:
    """Check a plugin's hooks and let it name its parts; all of them or none."""
    offered = Registry()
    manager.register(module, name=name)
    try:
        _check_hooks(module, name)
        manager.check_pending()
        others = [plugin for plugin in manager.get_plugins() if plugin is not module]
        caller = manager.subset_hook_caller("sslkit_register", remove_plugins=others)
        caller(registry=Registrar(offered, plugin=name, distribution=distribution))
    except Exception:
        manager.unregister(module)
        raise
    registry.parts.extend(offered.parts)


def _check_hooks(module: ModuleType, name: str) -> None:
    known = [hook for hook in vars(PluginHooks) if not hook.startswith("_")]
    marked = [key for key, value in vars(module).items() if getattr(value, "sslkit_impl", None)]
    for hook in marked:
        if hook not in known:
            raise ValueError(f"plugin {name!r} implements a hook {hook!r} that does not exist; {nearest(hook, known)}")
    if not marked:
        raise ValueError(f"plugin {name!r} has no @sslkit.hookimpl function sslkit_register(registry)")


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _import_file(file: Path) -> ModuleType:
    if not file.is_file():
        what = "that is a folder, and a Python file is expected" if file.is_dir() else "there is no such file"
        raise UserError(f"--plugin {file}: {what}")
    # a name of its own, also among files of one name: pickled parts find their module by it
    place = hashlib.sha256(str(file.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"sslkit_plugin_{file.stem}_{place}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"--plugin {file}: not a Python file (expected NAME.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
