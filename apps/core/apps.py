"""Start-up of the core."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "apps.core"
    label = "core"
    verbose_name = "People and trail"

    def ready(self) -> None:
        # Django's own hook after migrations, the documented way to keep data in step with the schema.
        from apps.core import schema, worker  # noqa: F401  # the schema's extensions register themselves
        from apps.core.audit import audit_core
        from apps.core.checks import admin_actions_declare_permissions
        from apps.core.roles import sync_after_migrate

        post_migrate.connect(sync_after_migrate, dispatch_uid="core.sync_roles")
        checks.register(admin_actions_declare_permissions, checks.Tags.admin)
        audit_core()
        worker.connect()
