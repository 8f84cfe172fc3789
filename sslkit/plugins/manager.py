"""Finds plugins: entry points of the group ``sslkit`` and single files. Free of torch."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import pluggy

from sslkit.errors import UserError, nearest
from sslkit.plugins.hookspecs import PluginHooks
from sslkit.plugins.registry import Registrar, Registry

GROUP = "sslkit"


def load_registry(plugin_files: Sequence[str | Path] | str | Path = ()) -> Registry:
    """The registry of all installed plugins and of the given single files, which are read anew each time.

    A broken installed plugin is kept in ``Registry.broken`` and told only where it matters; a broken
    file that the user named is an error at once.

    Raises:
        UserError: if a plugin file is missing or does not load.
    """
    installed = _installed()
    registry = Registry(list(installed.parts), dict(installed.broken))
    manager = _manager()
    for file in map(Path, [plugin_files] if isinstance(plugin_files, str | Path) else plugin_files):
        try:
            _register(manager, registry, _import_file(file), file.stem, str(file))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"--plugin {file}: {_reason(error)}") from error
    return registry


@cache
def _installed() -> Registry:
    registry, manager = Registry(), _manager()
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            _register(manager, registry, point.load(), point.name, _distribution(point))
        except Exception as error:  # noqa: BLE001 - a stranger's plugin must not take the command down
            registry.broken[point.name] = _reason(error)
    return registry


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
