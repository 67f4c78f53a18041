from __future__ import annotations

import kopf

from securemodel_operator import handlers


def test_children_are_watched_by_the_models_label_and_no_secret_or_pod_is() -> None:
    settings = kopf.OperatorSettings()
    handlers.configure(settings)
    selectors = settings.watching.label_selectors
    watched = {
        ("", "v1", "configmaps"),
        ("", "v1", "services"),
        ("apps", "v1", "statefulsets"),
        ("batch", "v1", "jobs"),
    }
    assert set(handlers.CHILDREN) == watched
    assert {selectors[child] for child in watched} == {"securemodel.dev/model"}


def test_all_handlers_register() -> None:
    assert handlers.build()
