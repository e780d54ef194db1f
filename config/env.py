"""The environment, parsed once and loudly.

Every variable that the product reads is a field of :class:`Environment`. A value that does not parse, or that is
unsafe in production, stops start-up with the name of the variable. Sources, strongest first: the process
environment, a file of the same lower-case name in the directory that ``RISKDESK_SECRETS_DIR`` names (Docker and
Kubernetes secrets), and ``var/dev.env``, which the launcher writes for development.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEV_ENV_FILE = BASE_DIR / "var" / "dev.env"
INSECURE_KEY_PREFIX = "dev-insecure-"

Names = Annotated[tuple[str, ...], NoDecode]


class Environment(BaseSettings):
    """What the surroundings tell the product. Field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=False)

    riskdesk_env: Literal["production", "development", "test"] = Field(
        "production", description="Which safety rules apply. Anything unsafe is refused in production."
    )
    debug: bool = Field(False, description="Django's debug pages. Refused in production.")
    secret_key: SecretStr = Field(description="Signs sessions and tokens; at least 50 characters in production.")
    secret_key_fallbacks: Names = Field((), description="Former secret keys, comma separated, during rotation.")
    field_keys: Names = Field(
        (), description="Fernet keys for secrets kept in the database, newest first. Required in production."
    )
    allowed_hosts: Names = Field(("localhost", "127.0.0.1", "[::1]"), description="Host names served, comma separated.")
    csrf_trusted_origins: Names = Field((), description="Origins allowed to post forms, with scheme.")
    cors_allowed_origins: Names = Field((), description="Origins that may call the API from a browser; none by default.")
    site_url: str = Field("http://localhost:8000", description="Public address, for links in mails.")
    database_url: SecretStr = Field(description="postgres://user:password@host:port/name, or ?host=/socket/folder.")
    database_pool: bool = Field(False, description="Keep a connection pool; for web processes, never for workers.")
    database_pool_size: int = Field(10, ge=1, le=200, description="Connections per web process.")
    redis_url: SecretStr = Field(description="redis://..., rediss://... or unix:///path/to.sock?db=0.")
    behind_proxy: bool = Field(False, description="Trust X-Forwarded-Proto and X-Forwarded-For of one proxy.")
    email_url: SecretStr = Field(
        SecretStr("console://"), description="smtp://user:password@host:587?tls=1, file:///folder, console:// or memory://."
    )
    default_from_email: str = Field("Riskdesk <riskdesk@localhost>", description="Sender of mails.")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is written.")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token for /metrics. Without it only this machine may read them."
    )
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port of the worker's metrics; 0 is off.")
    prometheus_multiproc_dir: str = Field("", description="Folder that the processes of one host share for metrics.")

    @field_validator(
        "secret_key_fallbacks", "field_keys", "allowed_hosts", "csrf_trusted_origins", "cors_allowed_origins", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _refuse_unsafe_production(self) -> Self:
        if self.riskdesk_env != "production":
            return self
        key = self.secret_key.get_secret_value()
        problems = [
            ("DEBUG", self.debug, "must be off in production"),
            ("SECRET_KEY", len(key) < 50 or key.startswith(INSECURE_KEY_PREFIX), "is a default or too short"),
            ("FIELD_KEYS", not self.field_keys, "needs at least one Fernet key"),
            ("ALLOWED_HOSTS", any("*" in host for host in self.allowed_hosts), "must not hold a wildcard"),
            ("CORS_ALLOWED_ORIGINS", any("*" in o for o in self.cors_allowed_origins), "must not hold a wildcard"),
            ("CSRF_TRUSTED_ORIGINS", any("*" in o for o in self.csrf_trusted_origins), "must not hold a wildcard"),
        ]
        found = [f"{name} {words}" for name, bad, words in problems if bad]
        if found:
            raise ValueError("; ".join(found))
        return self


def load() -> Environment:
    """Read the environment.

    Raises:
        ImproperlyConfigured: naming each variable that is missing, malformed or unsafe; values are never shown.
    """
    secrets = os.environ.get("RISKDESK_SECRETS_DIR") or None
    env_file = DEV_ENV_FILE if "RISKDESK_ENV" not in os.environ and DEV_ENV_FILE.exists() else None
    try:
        return Environment(_env_file=env_file, _secrets_dir=secrets)
    except ValidationError as error:
        raise ImproperlyConfigured(explain(error)) from None


def explain(error: ValidationError) -> str:
    """Say which variables are wrong, without their values (they may be secrets)."""
    lines = [
        f"  {'.'.join(str(part) for part in item['loc']).upper() or 'environment'}: {item['msg']}" for item in error.errors()
    ]
    hint = "Run `make run` for a development setup, or see docs/operate.md for the variables of production."
    return "The environment is not usable:\n" + "\n".join(lines) + f"\n{hint}"


def database(url: str, *, pool_size: int | None) -> dict[str, Any]:
    """Django's DATABASES entry for a URL.

    Args:
        url: ``postgres://user:password@host:port/name``; a query may give ``host`` (socket folder) and libpq options.
        pool_size: connections kept per process, or None for no pool (prefork workers).

    Raises:
        ImproperlyConfigured: if the URL is not PostgreSQL, the only database this product runs on.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured("DATABASE_URL must look like postgres://user:password@host:port/name")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    if pool_size is not None:
        options["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
    }


def email(url: str) -> dict[str, Any]:
    """Django's EMAIL_* settings for a URL; see ``EMAIL_URL``."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    if parts.scheme == "memory":
        return {"EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend"}
    if parts.scheme == "file":
        return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": unquote(parts.path)}
    if parts.scheme == "smtp" and parts.hostname:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": parts.hostname,
            "EMAIL_PORT": parts.port or 25,
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_TLS": query.get("tls") == "1",
            "EMAIL_USE_SSL": query.get("ssl") == "1",
            "EMAIL_TIMEOUT": 10,
        }
    raise ImproperlyConfigured("EMAIL_URL must start with smtp://, file://, console:// or memory://")


def celery_broker(redis_url: str) -> str:
    """The broker URL in Celery's spelling (``redis+socket`` for a Unix socket)."""
    if redis_url.startswith("unix://"):
        parts = urlsplit(redis_url)
        number = dict(parse_qsl(parts.query)).get("db", "0")
        return f"redis+socket://{parts.path}?virtual_host={number}"
    return redis_url
