"""Secrets: a certificate each, with its key and the CA's certificate."""

from __future__ import annotations

import base64
from collections.abc import Callable

from securemodel_operator.certificates import subjects
from securemodel_operator.objects import Object
from securemodel_operator.pki import Issued
from securemodel_operator.spec.model import SecureModel

from .child import Child, Materials


def of_ca(sm: SecureModel) -> Child:
    """The CA's key, to renew certificates with. No pod mounts it."""

    def content(materials: Materials) -> Object:
        return _content(materials, materials.certificates.ca)

    return _secret(sm.names.ca_secret(), content)


def of_holders(sm: SecureModel) -> list[Child]:
    """A Secret a player, and the share step's."""
    return [_of_holder(sm, holder) for holder in subjects(sm)]


def _of_holder(sm: SecureModel, holder: str) -> Child:
    def content(materials: Materials) -> Object:
        return _content(materials, materials.certificates.leaves[holder])

    return _secret(sm.names.tls_secret(holder), content)


def _secret(name: str, content: Callable[[Materials], Object]) -> Child:
    return Child(kind="Secret", name=name, component="certificate", content=content)


def _content(materials: Materials, issued: Issued) -> Object:
    ca = materials.certificates.ca.certificate
    data = {"ca.crt": ca, "tls.crt": issued.certificate, "tls.key": issued.key}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"type": "kubernetes.io/tls", "data": encoded}
