"""Parts by kind and name; a part's module is imported when a recipe names it, never before."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

from sslkit.errors import UserError, nearest
from sslkit.parts.kinds import KINDS


@dataclass(frozen=True)
class Registration:
    """A part that a plugin offers.

    Attributes:
        kind: one of :data:`sslkit.parts.kinds.KINDS`.
        name: what recipes call it.
        target: ``module:attribute`` of its class, or the class itself (single-file plugins).
        plugin: the plugin that brought it.
        distribution: the installed package and version that the plugin is from, or the file's path.
    """

    kind: str
    name: str
    target: str | type
    plugin: str
    distribution: str

    @property
    def owner(self) -> str:
        """The plugin and its distribution, for messages."""
        return f"plugin {self.plugin!r} ({self.distribution})"

    def load(self) -> type:
        """Import the class behind the name.

        Raises:
            UserError: if it cannot be imported or does not implement the kind's contract.
        """
        if isinstance(self.target, str):
            module, _, attribute = self.target.partition(":")
            try:
                found = getattr(import_module(module), attribute)
            except Exception as error:
                raise UserError(
                    f"the {self.kind} {self.name!r} of {self.owner} cannot be "
                    f"imported from {self.target!r}: {type(error).__name__}: {error}"
                ) from error
        else:
            found = self.target
        contract_module, _, contract_name = KINDS[self.kind].contract.partition(":")
        contract = getattr(import_module(contract_module), contract_name)
        if not (isinstance(found, type) and issubclass(found, contract)):
            raise UserError(
                f"the {self.kind} {self.name!r} of {self.owner} is not a "
                f"{contract_name}: its class must derive from sslkit.parts.{contract_name}"
            )
        return found


@dataclass
class Registry:
    """All parts that the plugins offer.

    Attributes:
        broken: why a plugin does not load, by its name.
        off: by what a plugin is switched off, by its name.
    """

    parts: list[Registration] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    off: dict[str, str] = field(default_factory=dict)

    def complaints(self) -> list[str]:
        """A sentence for each plugin that is installed and does not load."""
        return [f"broken plugin {plugin!r}, its parts are missing: {why}" for plugin, why in self.broken.items()]

    def names(self, kind: str) -> list[str]:
        """The names of a kind, sorted."""
        return sorted({part.name for part in self.parts if part.kind == kind})

    def find(self, kind: str, name: str) -> Registration:
        """The part of this kind and name; ``plugin:name`` picks one of several.

        Raises:
            UserError: if there is none (with the nearest name, and which plugins failed to load), or more than one.
        """
        plugin, _, plain = name.rpartition(":")
        found = [
            part
            for part in self.parts
            if part.kind == kind and part.name == plain and plugin in ("", part.plugin, part.distribution.split()[0])
        ]
        if len(found) > 1:
            owners = " and ".join(part.owner for part in found)
            raise UserError(f"two plugins bring a {kind} {name!r}: {owners}; write {found[0].plugin}:{plain}")
        if not found:
            hint = "".join(f"; plugin {plugin!r} failed to load: {why}" for plugin, why in self.broken.items())
            hint += "".join(f"; plugin {plugin!r} is switched off by {how}" for plugin, how in self.off.items())
            known = nearest(plain, self.names(kind))
            if not known.startswith("did you mean"):
                known += "; one of a single file needs --plugin FILE.py"
            raise UserError(f"there is no {kind} {name!r}; {known}{hint}")
        return found[0]


@dataclass(frozen=True)
class Registrar:
    """What a plugin's ``sslkit_register`` is handed: one method a kind.

    ``target`` is ``"module:Class"``, so that registering imports nothing, or the class itself.
    """

    registry: Registry
    plugin: str
    distribution: str

    def add(self, kind: str, name: str, target: str | type) -> None:
        """Offer a part.

        Raises:
            ValueError: for an unknown kind, or a name that this plugin has given already or that recipes could not
                hold.
        """
        if kind not in KINDS:
            raise ValueError(f"there is no kind {kind!r}; {nearest(kind, KINDS)}")
        if not name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"{name!r} is no name for a {kind}: use letters, digits, '_' and '-'")
        if isinstance(target, str) and not all(target.partition(":")[::2]):
            raise ValueError(f"{target!r} is no target for the {kind} {name!r}: write 'package.module:Class'")
        if any((part.kind, part.name, part.plugin) == (kind, name, self.plugin) for part in self.registry.parts):
            raise ValueError(f"the {kind} {name!r} is registered twice")
        self.registry.parts.append(Registration(kind, name, target, self.plugin, self.distribution))

    def dataset(self, name: str, target: str | type) -> None:
        """Offer a data set (:class:`sslkit.parts.Dataset`)."""
        self.add("dataset", name, target)

    def augmenter(self, name: str, target: str | type) -> None:
        """Offer an augmenter (:class:`sslkit.parts.Augmenter`)."""
        self.add("augmenter", name, target)

    def backbone(self, name: str, target: str | type) -> None:
        """Offer a backbone (:class:`sslkit.parts.Backbone`)."""
        self.add("backbone", name, target)

    def head(self, name: str, target: str | type) -> None:
        """Offer a projection head or predictor (:class:`sslkit.parts.Head`)."""
        self.add("head", name, target)

    def loss(self, name: str, target: str | type) -> None:
        """Offer a loss (:class:`sslkit.parts.Loss`)."""
        self.add("loss", name, target)

    def teacher(self, name: str, target: str | type) -> None:
        """Offer a teacher rule (:class:`sslkit.parts.TeacherRule`)."""
        self.add("teacher", name, target)

    def optimizer(self, name: str, target: str | type) -> None:
        """Offer an optimizer (:class:`sslkit.parts.OptimizerPart`)."""
        self.add("optimizer", name, target)

    def schedule(self, name: str, target: str | type) -> None:
        """Offer a schedule (:class:`sslkit.parts.Schedule`)."""
        self.add("schedule", name, target)

    def clip(self, name: str, target: str | type) -> None:
        """Offer a gradient clipper (:class:`sslkit.parts.Clip`)."""
        self.add("clip", name, target)

    def evaluator(self, name: str, target: str | type) -> None:
        """Offer an evaluator (:class:`sslkit.parts.Evaluator`)."""
        self.add("evaluator", name, target)

    def watcher(self, name: str, target: str | type) -> None:
        """Offer a watcher (:class:`sslkit.parts.Watcher`)."""
        self.add("watcher", name, target)
