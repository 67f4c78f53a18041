"""A child: an object that belongs to a SecureModel, and the only form in which one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from securemodel_operator.certificates import Certificates
from securemodel_operator.objects import KINDS, Key, Object
from securemodel_operator.settings import Settings
from securemodel_operator.spec.model import SecureModel


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What manifests are made from beside the spec."""

    settings: Settings
    certificates: Certificates
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Child:
    """One object: who it is, and what is in it (its spec, or its data).

    The name is given once, for the object that is looked for and for the one that is applied: no
    object can be applied that was not looked for. `fixed` are the fields of the spec that the API
    server refuses to change.
    """

    kind: str
    name: str
    component: str
    content: Callable[[Materials], Object]
    player: str | None = None
    fixed: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.kind, self.name

    def manifest(self, sm: SecureModel, materials: Materials, live: Object | None) -> Object:
        """The object as it is wanted, where `live` is the one that is there."""
        metadata: Object = {
            "name": self.name,
            "namespace": sm.namespace,
            "labels": sm.names.labels(self.component, self.player),
            "ownerReferences": [sm.owner],
        }
        content = self.content(materials)
        if live is not None and self.fixed:
            content = {**content, "spec": self._as_made(content["spec"], live.get("spec", {}))}
        head = {"apiVersion": KINDS[self.kind].api_version, "kind": self.kind}
        return {**head, "metadata": metadata, **content}

    def _as_made(self, wanted: Object, made: Object) -> Object:
        """Other settings are for new objects, where a field cannot be changed."""
        free = {name: value for name, value in wanted.items() if name not in self.fixed}
        return free | {name: made[name] for name in self.fixed if name in made}
