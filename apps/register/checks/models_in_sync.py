"""Models: the database, the models and the API's description agree."""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from datetime import datetime, timedelta
from io import StringIO

from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from apps.register.checking import CheckSettings, Finding, check, concluded
from apps.register.probing import Site


@check(
    slug="models-in-sync",
    title="Database, models and the API's description agree",
    every=timedelta(days=1),
    mitigation="Run manage.py migrate, makemigrations and spectacular --validate --fail-on-warn.",
)
def look(*, now: datetime, settings: CheckSettings, site: Site) -> Finding:
    """Compares the models with the migrations, these with the database's tables, and makes and validates the API's description."""
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    waiting = [
        f"{migration.app_label}.{migration.name}" for migration, _ in executor.migration_plan(graph.leaf_nodes())
    ]
    changes = MigrationAutodetector(executor.loader.project_state(), ProjectState.from_apps(apps)).changes(graph=graph)
    undescribed = sorted(label for label in changes if apps.get_app_config(label).name.startswith("apps."))
    missing = _missing_columns()
    paths, problems = _described()
    failures = [f"Not in the database: {', '.join(waiting[:5])}."] if waiting else []
    failures += [f"Models changed without a migration: {', '.join(undescribed)}."] if undescribed else []
    failures += [f"Columns that the database does not have: {', '.join(missing[:5])}."] if missing else []
    failures += [f"The API's description: {problems[0]}"] if problems else []
    return concluded(
        f"All migrations are in the database, and {paths} addresses of the API are described.",
        failures=failures,
        facts={"waiting": waiting, "undescribed": undescribed, "missingColumns": missing, "paths": paths,
               "problems": problems[:10]},
        query="migrations, information_schema, OpenAPI",
    )  # fmt: skip


def _missing_columns() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
        there = {name for (name,) in cursor.fetchall()}
    models = [model for model in apps.get_models() if model._meta.managed and not model._meta.proxy]
    wanted = {f"{model._meta.db_table}.{field.column}" for model in models for field in model._meta.concrete_fields}
    return sorted(wanted - there)


def _described() -> tuple[int, list[str]]:
    """How many addresses the description has, and what is wrong with it."""
    out, said = StringIO(), StringIO()
    try:
        with redirect_stderr(said):
            call_command("spectacular", format="openapi-json", validate=True, fail_on_warn=True, stdout=out)
    except CommandError as error:
        warnings = [line for line in said.getvalue().splitlines() if ": Warning " in line or ": Error " in line]
        return 0, warnings or [str(error)]
    return len(json.loads(out.getvalue())["paths"]), []
