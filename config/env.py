"""The environment, parsed once and loudly.

Every variable that the product reads is a field of :class:`Environment`. A value that does not parse, or that is
unsafe in production, stops start-up with the name of the variable. Sources, strongest first: the process
environment; the file that ``NAME_FILE`` names, for any variable ``NAME`` (Docker secrets); a file of the variable's
lower-case name in the directory that ``RISKDESK_SECRETS_DIR`` names (Kubernetes secrets); and ``var/dev.env``, which the
launcher writes for development.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEV_ENV_FILE = BASE_DIR / "var" / "dev.env"
INSECURE_KEY_PREFIX = "dev-insecure-"
SHORTEST_SECRET_KEY = 50  # characters; with at least five different ones, as Django's `check --deploy` asks

Names = Annotated[tuple[str, ...], NoDecode]
Weight = Annotated[Decimal, Field(ge=0, le=1000, decimal_places=2, allow_inf_nan=False)]


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
    cors_allowed_origins: Names = Field(
        (), description="Origins that may call the API from a browser; none by default."
    )
    site_url: str = Field("http://localhost:8000", description="Public address, for links in mails.")
    database_url: SecretStr = Field(description="postgres://user:password@host:port/name, or ?host=/socket/folder.")
    database_pool: bool = Field(False, description="Keep a connection pool; for web processes, never for workers.")
    database_pool_size: int = Field(10, ge=1, le=200, description="Connections per web process.")
    redis_url: SecretStr = Field(description="redis://..., rediss://... or unix:///path/to.sock?db=0.")
    behind_proxy: bool = Field(False, description="Trust X-Forwarded-Proto and X-Forwarded-For of one proxy.")
    email_url: SecretStr = Field(
        SecretStr("console://"),
        description="smtp://user:password@host:587?tls=1, file:///folder, console:// or memory://.",
    )
    outgoing_private_addresses: bool = Field(
        False, description="Send outgoing news to private and local addresses, too. Refused in production."
    )
    default_from_email: str = Field("Riskdesk <riskdesk@localhost>", description="Sender of mails.")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is written.")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token for /metrics. Without it only this machine may read them."
    )
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port of the worker's metrics; 0 is off.")
    prometheus_multiproc_dir: str = Field("", description="Folder that the processes of one host share for metrics.")
    probe_url: str = Field(
        "", description="Where the checks of controls reach the web server from inside; empty: SITE_URL."
    )
    answer_writer_url: str = Field(
        "",
        description="Base address of an OpenAI-compatible API that may rephrase answers, such as "
        "https://llm.example.com/v1. Empty: answers are the articles' own words.",
    )
    answer_writer_model: str = Field("", description="Name of the model that rephrases.")
    answer_writer_key: SecretStr = Field(SecretStr(""), description="Bearer token of that API.")
    embedding_model: str = Field(
        "", description="Embedding model of the search, a name of EMBEDDING_FOLDERS; empty: the delivered one."
    )
    embedding_folders: Names = Field(
        (),
        description="Embedding models of your own: name=/folder with model.onnx and tokenizer.json, comma separated.",
    )
    report_retention_days: int = Field(
        400, ge=35, le=3650, description="Days for which customers' messages are kept for the indicators."
    )
    risk_weight_consecutive_none: Weight = Field(Decimal(0), description="Weight of no failed renewal.")
    risk_weight_consecutive_medium: Weight = Field(Decimal(5), description="Weight of 1 or 2 failed renewals in a row.")
    risk_weight_consecutive_high: Weight = Field(
        Decimal(10), description="Weight of 3 or more failed renewals in a row."
    )
    risk_weight_balance_sufficient: Weight = Field(
        Decimal(0), description="Weight of a balance from 120 % of the price."
    )
    risk_weight_balance_low: Weight = Field(Decimal(5), description="Weight of a balance of 100 to 120 % of the price.")
    risk_weight_balance_insufficient: Weight = Field(Decimal(10), description="Weight of a balance below the price.")
    risk_weight_approval_valid: Weight = Field(Decimal(0), description="Weight of a valid approval.")
    risk_weight_approval_expired: Weight = Field(Decimal(10), description="Weight of an expired or missing approval.")
    risk_batch_size: int = Field(100, ge=1, le=50_000, description="Subscriptions calculated in one transaction.")
    renewal_model_dir: str = Field(
        "", pattern=r"^(/.*)?$", description="Folder of trained models, an absolute path; empty: var/models."
    )

    @field_validator(
        "secret_key_fallbacks",
        "field_keys",
        "allowed_hosts",
        "csrf_trusted_origins",
        "cors_allowed_origins",
        "embedding_folders",
        mode="before",
    )
    @classmethod
    def _to_names(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("field_keys")
    @classmethod
    def _field_keys_are_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            try:
                Fernet(key)
            except ValueError as error:
                raise ValueError("holds a value that is not a Fernet key") from error
        return keys

    @field_validator("csrf_trusted_origins", "cors_allowed_origins", "site_url")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if not all(map(_is_origin, [value.rstrip("/")] if isinstance(value, str) else value)):
            raise ValueError("must be a scheme and a host, such as https://desk.example.com")
        return value

    @field_validator("answer_writer_url")
    @classmethod
    def _answer_writer_is_an_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must be an address, such as https://llm.example.com/v1")
        return value.rstrip("/")

    @field_validator("embedding_folders")
    @classmethod
    def _embedding_folders_are_named(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        for pair in pairs:
            name, _, folder = pair.partition("=")
            if not 0 < len(name) <= 60 or not folder.startswith("/"):
                raise ValueError("must be names with absolute folders, such as bge-small=/srv/models/bge-small")
        return pairs

    @model_validator(mode="after")
    def _embedding_model_is_known(self) -> Self:
        if self.embedding_model and self.embedding_model not in {
            pair.partition("=")[0] for pair in self.embedding_folders
        }:
            raise ValueError("EMBEDDING_MODEL must be a name of EMBEDDING_FOLDERS, or empty for the delivered model")
        return self

    @field_validator("probe_url")
    @classmethod
    def _probe_url_is_an_origin(cls, value: str) -> str:
        if value and not _is_origin(value.rstrip("/")):
            raise ValueError("must be a scheme and a host, such as http://web:8000")
        return value.rstrip("/")

    @field_validator("database_url", "redis_url", "email_url")
    @classmethod
    def _addresses_are_addresses(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        parse: dict[str | None, Any] = {"database_url": _database_parts, "redis_url": celery_broker, "email_url": email}
        try:
            parse[info.field_name](url.get_secret_value())
        except ImproperlyConfigured as error:
            raise ValueError(str(error)) from None
        return url

    @model_validator(mode="after")
    def _worker_metrics_need_a_folder(self) -> Self:
        # The worker's port is served by its main process, and tasks run in its children.
        if self.worker_metrics_port and not self.prometheus_multiproc_dir:
            raise ValueError("WORKER_METRICS_PORT needs PROMETHEUS_MULTIPROC_DIR")
        return self

    @model_validator(mode="after")
    def _refuse_unsafe_production(self) -> Self:
        if self.riskdesk_env != "production":
            return self
        mail = self.email_url.get_secret_value()
        problems = [
            ("DEBUG", self.debug, "must be off in production"),
            ("OUTGOING_PRIVATE_ADDRESSES", self.outgoing_private_addresses, "must be off in production"),
            ("SECRET_KEY", _is_weak(self.secret_key.get_secret_value()), "is a default or too short or too uniform"),
            ("SECRET_KEY_FALLBACKS", any(map(_is_weak, self.secret_key_fallbacks)), "holds a default or too short key"),
            ("EMAIL_URL", mail.startswith(("console:", "memory:")), "must name a mail server: smtp://..."),
            ("SITE_URL", not self.site_url.startswith("https://"), "must begin with https://"),
            ("FIELD_KEYS", not self.field_keys, "needs at least one Fernet key"),
            ("ALLOWED_HOSTS", any("*" in host for host in self.allowed_hosts), "must not hold a wildcard"),
            ("CORS_ALLOWED_ORIGINS", any("*" in o for o in self.cors_allowed_origins), "must not hold a wildcard"),
            ("CSRF_TRUSTED_ORIGINS", any("*" in o for o in self.csrf_trusted_origins), "must not hold a wildcard"),
        ]
        found = [f"{name} {words}" for name, bad, words in problems if bad]
        if found:
            raise ValueError("; ".join(found))
        return self


def _is_weak(key: str) -> bool:
    return len(key) < SHORTEST_SECRET_KEY or len(set(key)) < 5 or key.startswith(INSECURE_KEY_PREFIX)


def _is_origin(text: str) -> bool:
    parts = _split(text)
    return parts is not None and parts.scheme in {"http", "https"} and f"{parts.scheme}://{parts.netloc}" == text


def load() -> Environment:
    """Read the environment.

    Raises:
        ImproperlyConfigured: naming each variable that is missing, malformed or unsafe; values are never shown.
    """
    secrets = os.environ.get("RISKDESK_SECRETS_DIR") or None
    if secrets and not Path(secrets).is_dir():
        raise ImproperlyConfigured(f"RISKDESK_SECRETS_DIR: there is no folder {secrets}")
    env_file = DEV_ENV_FILE if "RISKDESK_ENV" not in os.environ and DEV_ENV_FILE.exists() else None
    try:
        return Environment(_env_file=env_file, _secrets_dir=secrets, **from_files(os.environ))
    except ValidationError as error:
        raise ImproperlyConfigured(explain(error)) from None


def from_files(environ: Mapping[str, str]) -> dict[str, Any]:
    """The variables whose values stand in files, by ``NAME_FILE``, without the line end that editors add.

    Raises:
        ImproperlyConfigured: if a file cannot be read, or the variable itself is set too, so that nobody could tell
            which of the two counts.
    """
    found: dict[str, Any] = {}
    for field in Environment.model_fields:
        name = field.upper()
        file = environ.get(f"{name}_FILE")
        if not file:
            continue
        if name in environ:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; keep one.")
        try:
            found[field] = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ImproperlyConfigured(f"{name}_FILE: {file} cannot be read: {reason}") from None
    return found


def risk_weights(environment: Environment) -> dict[str, Decimal]:
    """The weights of risk factors by the names of their variables."""
    return {
        field.upper(): getattr(environment, field)
        for field in Environment.model_fields
        if field.startswith("risk_weight_")
    }


def explain(error: ValidationError) -> str:
    """Say which variables are wrong, without their values (they may be secrets)."""
    lines = [
        f"  {'.'.join(str(part) for part in item['loc']).upper() or 'environment'}: {item['msg']}"
        for item in error.errors()
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
    parts = _database_parts(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    options["prepare_threshold"] = 5  # for apps.core.prepared; Django's own cursors never prepare
    host = options.pop("host", None) or unquote(parts.hostname or "")
    if pool_size is not None:
        options["pool"] = {"min_size": pool_size, "max_size": pool_size, "timeout": 10}  # opened ahead of any burst
    return {
        "ENGINE": "apps.core.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 0,
    }


def _database_parts(url: str) -> SplitResult:
    parts = _split(url)
    if parts is None or parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured("DATABASE_URL must look like postgres://user:password@host:port/name")
    return parts


def _split(url: str) -> SplitResult | None:
    """A URL's parts; None if a bracket is open or the port is no number, which `urlsplit` says late or never."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def email(url: str) -> dict[str, Any]:
    """Django's EMAIL_* settings for a URL; see ``EMAIL_URL``."""
    parts = _split(url)
    if parts is None:
        raise ImproperlyConfigured("EMAIL_URL has a host or port that cannot be read")
    query = dict(parse_qsl(parts.query))
    if query.get("tls") == "1" == query.get("ssl"):
        raise ImproperlyConfigured("EMAIL_URL asks for tls and ssl; choose tls=1 (port 587) or ssl=1 (port 465)")
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    if parts.scheme == "memory":
        return {"EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend"}
    if parts.scheme == "file":
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": unquote(parts.path),
        }
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
    """The broker URL in Celery's spelling (``redis+socket`` for a Unix socket).

    Raises:
        ImproperlyConfigured: if it is not an address of Valkey or Redis.
    """
    parts = _split(redis_url)
    if (
        parts is None
        or parts.scheme not in {"redis", "rediss", "unix"}
        or not (parts.hostname or parts.path.strip("/"))
    ):
        raise ImproperlyConfigured("REDIS_URL must look like redis://host:6379/0 or unix:///path/to.sock?db=0")
    if parts.scheme == "unix":
        return f"redis+socket://{parts.path}?virtual_host={database_number(redis_url)}"
    return redis_url


def database_number(redis_url: str) -> str:
    """The number of the database that an address of Valkey names; "0" if it names none."""
    parts = urlsplit(redis_url)
    return dict(parse_qsl(parts.query)).get("db") or (parts.scheme != "unix" and parts.path.strip("/")) or "0"
