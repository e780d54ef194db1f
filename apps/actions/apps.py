"""Start-up of the actions: rules and executors of every app are found here."""

from importlib.util import find_spec
from typing import Any

from django.apps import AppConfig, apps

from apps.core.rules import Registry


class ActionsConfig(AppConfig):
    name = "apps.actions"
    label = "actions"
    verbose_name = "Actions"

    def ready(self) -> None:
        # Models are loaded by now, so the packages may use them.
        from apps.actions.executors import executors
        from apps.actions.rules import rules
        from apps.core.audit import audit

        for config in apps.get_app_configs():
            if config.name.startswith("apps."):
                _discover(rules, f"{config.name}.detectors")
                _discover(executors, f"{config.name}.executors")
        audit(apps.get_model("actions", "SavedView"))


def _discover(registry: Registry[Any], package: str) -> None:
    """Import the package's modules if the app has such a package (``apps.actions.executors`` is a module)."""
    spec = find_spec(package)
    if spec is not None and spec.submodule_search_locations is not None:
        registry.discover(package)
