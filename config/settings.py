"""Settings, made from the environment (see config/env.py); there is one file for every environment."""

from __future__ import annotations

import logging as levels
import os
from pathlib import Path
from typing import Any

import django_stubs_ext
from csp.constants import NONE, SELF

from apps.core import logging, statics
from config import env as environment

django_stubs_ext.monkeypatch()  # lets classes such as ModelAdmin be written with their type parameter

BASE_DIR = environment.BASE_DIR
ENV = environment.load()
PRODUCTION = ENV.riskdesk_env == "production"
TESTING = ENV.riskdesk_env == "test"

DEBUG = ENV.debug
SECRET_KEY = ENV.secret_key.get_secret_value()
SECRET_KEY_FALLBACKS = list(ENV.secret_key_fallbacks)
FIELD_KEYS = list(ENV.field_keys)
ALLOWED_HOSTS = list(ENV.allowed_hosts)
SITE_URL = ENV.site_url.rstrip("/")
REPORT_RETENTION_DAYS = ENV.report_retention_days
OUTGOING_PRIVATE_ADDRESSES = ENV.outgoing_private_addresses
USE_HTTPS = SITE_URL.startswith("https://")
BEHIND_PROXY = ENV.behind_proxy

# The Prometheus client reads this variable when it is first imported, which happens after this file.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
if ENV.prometheus_multiproc_dir:
    Path(ENV.prometheus_multiproc_dir).mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = ENV.prometheus_multiproc_dir
METRICS_TOKEN = ENV.metrics_token.get_secret_value()
WORKER_METRICS_PORT = ENV.worker_metrics_port

LOGGING = logging.configure(log_format=ENV.log_format, level=ENV.log_level)
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # only well-formed ones reach it, see RequestIdMiddleware
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # it would believe any X-Forwarded-For
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = levels.DEBUG

INSTALLED_APPS = [
    "apps.core",
    "apps.register",
    "apps.escalation",
    "apps.actions",
    "apps.orders",
    "apps.subscriptions",
    "apps.knowledge",
    "apps.chat",
    "apps.core.site.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "guardian",
    "auditlog",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "django_structlog",
    "django_celery_beat",
    "csp",
]

MIDDLEWARE = [
    "apps.core.metrics.metrics_middleware",
    "apps.core.middleware.RequestIdMiddleware",
    # Those that write headers come before those that refuse, so that refusals have the headers too.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.core.middleware.GuardMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.core.ratelimit.LoginLimitMiddleware",
    "apps.core.middleware.AuditMiddleware",
    "apps.core.middleware.DomainErrorMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Prefork workers must not share a pool across fork, so only the web process has one (DATABASE_POOL).
DATABASES = {
    "default": environment.database(
        ENV.database_url.get_secret_value(), pool_size=ENV.database_pool_size if ENV.database_pool else None
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = ENV.redis_url.get_secret_value()
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "rd"}
}
# Valkey's channels are common to all its databases, so the number is part of their names.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "socket_timeout": None}],
            "prefix": f"rd{environment.database_number(REDIS_URL)}",
        },
    }
}

CELERY_BROKER_URL = environment.celery_broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
# A task is a hint to look at rows (docs/adr/0004), so a lost one costs nothing. Acknowledging late would: a worker whose
# connection to Valkey breaks while it holds an unacknowledged task ends with an error in the client library.
CELERY_TASK_ACKS_LATE = False
# What a customer waits for passes by what takes minutes: a worker of its own takes it (docs/adr/0014). One without -Q takes all.
CELERY_TASK_QUEUES: dict[str, dict[str, Any]] = {"celery": {}, "answers": {}}
CELERY_TASK_ROUTES = {
    f"apps.chat.tasks.{task}": {"queue": "answers"}
    for task in ("answer_turn", "answer_due_turns", "send_code", "send_codes")
}
# A new connection costs an answer more than its statements do. Those that broke are noticed before each task (apps.core.worker).
CELERY_DB_REUSE_MAX = 500
CELERY_TASK_TIME_LIMIT = 15 * 60
CELERY_TASK_SOFT_TIME_LIMIT = 14 * 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 30, "socket_keepalive": True}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "guardian.backends.ObjectPermissionBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
ANONYMOUS_USER_NAME = None
GUARDIAN_RAISE_403 = False

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # of what customers read; the back office is in English
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_ADD_HEADERS_FUNCTION = statics.for_other_pages
MEDIA_ROOT = BASE_DIR / "var" / "media"

# Security. Scripts, styles, images and sockets come from this site and nowhere else.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600  # a working day, then the password is asked again
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script of ours reads the cookie
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.behind_proxy else None
CSRF_TRUSTED_ORIGINS = list(ENV.csrf_trusted_origins)
CORS_ALLOWED_ORIGINS = list(ENV.cors_allowed_origins)
CORS_URLS_REGEX = r"^/api/"
CSRF_FAILURE_VIEW = "apps.core.errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
MAX_BODY_BYTES = 25 * 1024 * 1024  # of any request, uploads included

# Requests per time by whom apps/core/ratelimit.py names; a login's account is the name that was typed.
RATE_LIMITS = {
    "login_address": "30/5 minutes",
    "login_account": "10/5 minutes",
    "webhooks": "12000/minute",
    "api_user": "600/minute",
    "api_address": "60/minute",
    # Chat over HTTP: by address until there is a session, then by session.
    "chat_sessions": "120/minute",
    "chat_address": "600/minute",
    "chat_messages": "60/minute",
    "chat_reads": "240/minute",
    "chat_rarely": "30/minute",
    "chat_files": "20/10 minutes",
    "chat_transcripts": "5/hour",
    "chat_transcripts_to": "4/day",
    "help_search": "60/minute",
    "help_suggest": "240/minute",
    "help_feedback": "30/5 minutes",
    "desk_user": "900/minute",
}
# The same for sockets of chat, counted by each process: so many at once, and so many per second after that. A network is an
# address, behind which a whole office may sit.
CHAT_SOCKET_LIMITS: dict[str, Any] = {
    "messages": (12, 1.0),
    "frames": (60, 12.0),
    "network_messages": (200, 30.0),
    "network_sockets": (120, 10.0),
    "open_of_network": 400,
    "open_of_session": 8,
}
RATE_LIMIT_PREFIX = "riskdesk:limit"

REST_FRAMEWORK = {
    # The first one names the scheme in the 401 of strangers.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.core.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.core.permissions.ScopedPermission"],
    "DEFAULT_RENDERER_CLASSES": ["apps.core.rendering.Renderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 50,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["apps.core.ratelimit.ApiThrottle"],
    "EXCEPTION_HANDLER": "apps.core.errors.api_exception_handler",
}
KNOX_TOKEN_MODEL = "core.ApiToken"  # noqa: S105  # a model
MIGRATION_MODULES = {"knox": None}  # its own table of tokens would stand there unused, and in the way of others
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "rd_"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Riskdesk API",
    "DESCRIPTION": "Action cards, risk flags, tickets, risk scores of subscriptions, the risk register, articles, and the facts behind them.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.core.schema.close_bodies",
    ],
    "ENUM_NAME_OVERRIDES": {
        "CardStatus": "apps.actions.models.ActionCard.Status",
        "RiskLevel": "apps.subscriptions.models.RiskLevel",
        "ApprovalStatus": "apps.subscriptions.models.Approval.Status",
        "RecalculationStatus": "apps.subscriptions.models.RecalculationRun.Status",
        "ExecutionStatus": "apps.actions.models.Execution.Status",
        "TicketStatus": "apps.escalation.models.Ticket.Status",
        "FlagStatus": "apps.escalation.models.RiskFlag.Status",
        "ClockStatus": "apps.escalation.models.Clock.Status",
        "RiskStatus": "apps.register.models.Risk.Status",
        "AssessmentStatus": "apps.register.models.RiskAssessment.Status",
        "MitigationStatus": "apps.register.models.Mitigation.Status",
        "AttestationOutcome": "apps.register.models.Attestation.Outcome",
        "CardOutcome": "apps.actions.models.ActionCard.Outcome",
        "RatingKind": "apps.register.models.Rating.Kind",
        "ControlKind": "apps.register.models.Control.Kind",
    },
}

PROBE_URL = ENV.probe_url

RISK_WEIGHTS = environment.risk_weights(ENV)
RISK_BATCH_SIZE = ENV.risk_batch_size
RENEWAL_MODEL_DIR = ENV.renewal_model_dir or str(BASE_DIR / "var" / "models")

globals().update(environment.email(ENV.email_url.get_secret_value()))
DEFAULT_FROM_EMAIL = ENV.default_from_email
SERVER_EMAIL = DEFAULT_FROM_EMAIL

AUDITLOG_DISABLE_ON_RAW_SAVE = True
AUDITLOG_CID_GETTER = "apps.core.errors.request_id"  # leads from an entry to the logs of the request that made it
ANSWER_WRITER = {
    "url": ENV.answer_writer_url,
    "model": ENV.answer_writer_model,
    "key": ENV.answer_writer_key.get_secret_value(),
}
EMBEDDING_MODEL = ENV.embedding_model
EMBEDDING_FOLDERS = dict(pair.split("=", 1) for pair in ENV.embedding_folders)
