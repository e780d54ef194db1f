"""Every variable: what it accepts, what it refuses and by which name, and where it may come from."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env as environment
from config.env import Environment

SAFE = {
    "RISKDESK_ENV": "production",
    "SECRET_KEY": "0123456789abcdefghij" * 4,
    "FIELD_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "ALLOWED_HOSTS": "desk.example.com",
    "SITE_URL": "https://desk.example.com",
    "DATABASE_URL": "postgres://riskdesk:hunter2@database:5433/riskdesk",
    "REDIS_URL": "redis://:hunter3@queue:6379/0",
    "EMAIL_URL": "smtp://mail:hunter4@mail.example.com:587?tls=1",
}
# For each variable: a value that is accepted with what it becomes, and one that is refused. None: any text will do.
OTHER_KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
VARIABLES: dict[str, tuple[str, Any, str | None]] = {
    "RISKDESK_ENV": ("test", "test", "staging"),
    "DEBUG": ("off", False, "perhaps"),
    "SECRET_KEY": ("k" * 30 + "0123456789abcdefghij", "k" * 30 + "0123456789abcdefghij", "k" * 60),
    "SECRET_KEY_FALLBACKS": ("", (), "short"),
    "FIELD_KEYS": (f"{OTHER_KEY}, {SAFE['FIELD_KEYS']}", (OTHER_KEY, SAFE["FIELD_KEYS"]), f"{OTHER_KEY},no-key"),
    "ALLOWED_HOSTS": ("a.example, b.example,", ("a.example", "b.example"), "a.example,*"),
    "CSRF_TRUSTED_ORIGINS": ("https://a.example", ("https://a.example",), "a.example"),
    "CORS_ALLOWED_ORIGINS": ("https://a.example:8443", ("https://a.example:8443",), "https://a.example/path"),
    "SITE_URL": ("https://a.example/", "https://a.example/", "a.example"),
    "DATABASE_URL": ("postgres://u@/db?host=/run/pg", "postgres://u@/db?host=/run/pg", "mysql://u@h/db"),
    "DATABASE_POOL": ("yes", True, "sometimes"),
    "DATABASE_POOL_SIZE": ("20", 20, "0"),
    "REDIS_URL": ("unix:///run/v.sock?db=2", "unix:///run/v.sock?db=2", "amqp://queue"),
    "BEHIND_PROXY": ("1", True, "maybe"),
    "EMAIL_URL": ("file:///var/mail", "file:///var/mail", "pigeon://roof"),
    "ANSWER_WRITER_URL": ("https://llm.example/v1/", "https://llm.example/v1", "llm.example"),
    "ANSWER_WRITER_MODEL": ("small", "small", None),
    "ANSWER_WRITER_KEY": ("token", "token", None),
    "EMBEDDING_MODEL": ("", "", "unknown"),
    "EMBEDDING_FOLDERS": ("bge=/srv/bge, e5=/srv/e5", ("bge=/srv/bge", "e5=/srv/e5"), "bge=srv/bge"),
    "REPORT_RETENTION_DAYS": ("90", 90, "34"),
    "OUTGOING_PRIVATE_ADDRESSES": ("false", False, "true"),
    "DEFAULT_FROM_EMAIL": ("Desk <desk@a.example>", "Desk <desk@a.example>", None),
    "LOG_FORMAT": ("console", "console", "xml"),
    "LOG_LEVEL": ("WARNING", "WARNING", "LOUD"),
    "METRICS_TOKEN": ("token", "token", None),
    "PROBE_URL": ("http://web:8000/", "http://web:8000", "web:8000"),
    "WORKER_METRICS_PORT": ("0", 0, "65536"),
    "PROMETHEUS_MULTIPROC_DIR": ("/run/metrics", "/run/metrics", None),
    "RISK_WEIGHT_CONSECUTIVE_NONE": ("0.5", Decimal("0.5"), "nothing"),
    "RISK_WEIGHT_CONSECUTIVE_MEDIUM": ("7", Decimal(7), "-1"),
    "RISK_WEIGHT_CONSECUTIVE_HIGH": ("12.25", Decimal("12.25"), "ten"),
    "RISK_WEIGHT_BALANCE_SUFFICIENT": ("0", Decimal(0), "NaN"),
    "RISK_WEIGHT_BALANCE_LOW": ("4", Decimal(4), "Infinity"),
    "RISK_WEIGHT_BALANCE_INSUFFICIENT": ("1000", Decimal(1000), "1001"),
    "RISK_WEIGHT_APPROVAL_VALID": ("0.00", Decimal(0), "0.001"),
    "RISK_WEIGHT_APPROVAL_EXPIRED": ("10", Decimal(10), ""),
    "RISK_BATCH_SIZE": ("2000", 2000, "0"),
    "RENEWAL_MODEL_DIR": ("/srv/models", "/srv/models", "models"),
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Load the environment of production with some variables changed; None takes one away."""
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.delenv("RISKDESK_SECRETS_DIR", raising=False)
    monkeypatch.setattr(environment, "DEV_ENV_FILE", tmp_path / "no such file")

    def load_with(**changes: str | None) -> Environment:
        for name, value in {**SAFE, **changes}.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return environment.load()

    return load_with


def test_every_variable_is_tried_here() -> None:
    assert VARIABLES.keys() == {name.upper() for name in Environment.model_fields}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_good_value_is_understood(load: Any, name: str) -> None:
    value, expected, _ = VARIABLES[name]
    found = getattr(load(**{name: value}), name.lower())
    assert (found.get_secret_value() if hasattr(found, "get_secret_value") else found) == expected


@pytest.mark.parametrize("name", [name for name, (_, _, bad) in VARIABLES.items() if bad is not None])
def test_a_bad_value_stops_the_start_with_the_variables_name_and_without_its_value(load: Any, name: str) -> None:
    bad = VARIABLES[name][2]
    with pytest.raises(ImproperlyConfigured) as caught:
        load(**{name: bad})
    said = str(caught.value)
    assert re.search(rf"\b{name}\b", said)
    assert not any(line.endswith(f" {bad}") or f"'{bad}'" in line for line in said.splitlines())
    assert "hunter" not in said
    assert "docs/operate.md" in said


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL"])
def test_what_has_no_default_is_asked_for(load: Any, name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{name}: Field required"):
        load(**{name: None})


def test_every_mistake_is_told_at_once(load: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        load(DEBUG="perhaps", LOG_LEVEL="LOUD", DATABASE_URL="mysql://x/y")
    for name in ("DEBUG", "LOG_LEVEL", "DATABASE_URL"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "true"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "dev-insecure-" + SAFE["SECRET_KEY"]),
        ("SECRET_KEY", "ab" * 40),
        ("SECRET_KEY_FALLBACKS", f"{SAFE['SECRET_KEY']},dev-insecure-{SAFE['SECRET_KEY']}"),
        ("FIELD_KEYS", None),
        ("FIELD_KEYS", " , "),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "desk.example.com,*.example.com"),
        ("CSRF_TRUSTED_ORIGINS", "https://*.example.com"),
        ("CORS_ALLOWED_ORIGINS", "https://*"),
        ("SITE_URL", None),
        ("SITE_URL", "http://desk.example.com"),
        ("EMAIL_URL", None),
        ("EMAIL_URL", "memory://"),
        ("WORKER_METRICS_PORT", "9100"),
    ],
)
def test_production_refuses_what_is_unsafe(load: Any, name: str, value: str | None) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"\b{name}\b"):
        load(**{name: value})


def test_the_same_is_allowed_to_a_developer(load: Any) -> None:
    loose = {"DEBUG": "true", "SECRET_KEY": "short", "FIELD_KEYS": None, "SITE_URL": None, "EMAIL_URL": None}
    assert load(RISKDESK_ENV="development", ALLOWED_HOSTS="*", **loose).debug


def test_production_is_what_one_gets_without_saying_so(load: Any) -> None:
    assert load(RISKDESK_ENV=None).riskdesk_env == "production"


def test_values_from_files_named_one_by_one(load: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SAFE["SECRET_KEY"] + "\n")
    (tmp_path / "hosts").write_text("a.example,b.example\n")
    found = load(
        SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "key"),
        ALLOWED_HOSTS=None, ALLOWED_HOSTS_FILE=str(tmp_path / "hosts"),
    )  # fmt: skip
    assert found.secret_key.get_secret_value() == SAFE["SECRET_KEY"]
    assert found.allowed_hosts == ("a.example", "b.example")


def test_a_secret_from_a_file_is_checked_like_any_other(load: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is a default or too short"):
        load(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "key"))


def test_a_file_that_cannot_be_read_is_named(load: Any, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY_FILE: .*nowhere cannot be read: No such file"):
        load(SECRET_KEY=None, SECRET_KEY_FILE=str(tmp_path / "nowhere"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY_FILE: .* it is not text"):
        load(SECRET_KEY_FILE=str(tmp_path / "binary"), SECRET_KEY=None)


def test_a_value_and_a_file_for_it_are_one_too_many(load: Any, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY and SECRET_KEY_FILE are both set"):
        load(SECRET_KEY_FILE=str(tmp_path / "key"))


def test_a_folder_of_secrets_and_what_is_stronger(load: Any, tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text(SAFE["SECRET_KEY"] + "\n")
    (tmp_path / "site_url").write_text("https://weaker.example")
    found = load(SECRET_KEY=None, RISKDESK_SECRETS_DIR=str(tmp_path))
    assert found.secret_key.get_secret_value() == SAFE["SECRET_KEY"]
    assert found.site_url == SAFE["SITE_URL"]
    with pytest.raises(ImproperlyConfigured, match="RISKDESK_SECRETS_DIR: there is no folder"):
        load(RISKDESK_SECRETS_DIR=str(tmp_path / "nowhere"))


def test_the_launchers_file_counts_only_where_nobody_chose_an_environment(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dev.env"
    file.write_text("RISKDESK_ENV='development'\nLOG_LEVEL='ERROR'\nSITE_URL='http://it\\'s.example'\n")
    monkeypatch.setattr(environment, "DEV_ENV_FILE", file)
    found = load(RISKDESK_ENV=None, SITE_URL=None)
    assert (found.riskdesk_env, found.log_level, found.site_url) == ("development", "ERROR", "http://it's.example")
    assert load(RISKDESK_ENV="production", SITE_URL=SAFE["SITE_URL"]).log_level == "INFO"


def test_secrets_do_not_show_in_the_environments_text(load: Any) -> None:
    text = repr(load())
    assert "hunter" not in text
    assert SAFE["SECRET_KEY"] not in text


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password", "name"),
    [
        ("postgres://u:p%40ss@h:5433/n", "h", "5433", "u", "p@ss", "n"),
        ("postgresql://u@/n?host=/run/pg", "/run/pg", "", "u", "", "n"),
        ("postgres://h/n", "h", "", "", "", "n"),
    ],
)
def test_a_databases_address(url: str, host: str, port: str, user: str, password: str, name: str) -> None:
    found = environment.database(url, pool_size=None)
    assert [found[key] for key in ("HOST", "PORT", "USER", "PASSWORD", "NAME")] == [host, port, user, password, name]
    assert found["OPTIONS"] == {"prepare_threshold": 5}


def test_a_databases_options_and_pool() -> None:
    found = environment.database("postgres://h/n?sslmode=require", pool_size=7)
    assert found["OPTIONS"]["sslmode"] == "require"
    assert found["OPTIONS"]["pool"]["max_size"] == 7
    assert found["CONN_MAX_AGE"] == 0


@pytest.mark.parametrize("url", ["sqlite:///x", "postgres://host", "postgres://h:port/n", "postgres://[::1/n", ""])
def test_an_address_that_is_no_database(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL must look like"):
        environment.database(url, pool_size=None)


@pytest.mark.parametrize("url", ["redis:", "redis://", "http://queue", "redis://h:port/0", "unix://", ""])
def test_an_address_that_is_no_queue(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL must look like"):
        environment.celery_broker(url)


def test_a_queues_address_in_celerys_spelling() -> None:
    assert environment.celery_broker("unix:///run/v.sock?db=3") == "redis+socket:///run/v.sock?virtual_host=3"
    assert environment.celery_broker("rediss://q:6380/1") == "rediss://q:6380/1"


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("unix:///run/v.sock?db=3", "3"),
        ("unix:///run/v.sock", "0"),
        ("redis://q:6379", "0"),
        ("rediss://:secret@q:6380/7?db=2", "2"),
        ("redis://q:6379/7", "7"),
    ],
)
def test_the_number_of_valkeys_database_is_found(url: str, number: str) -> None:
    assert environment.database_number(url) == number


def test_a_mail_servers_address() -> None:
    found = environment.email("smtp://u%40x:p%2Fw@mail.example:465?ssl=1")
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("u@x", "p/w")
    assert (found["EMAIL_PORT"], found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (465, True, False)
    assert found["EMAIL_TIMEOUT"]


@pytest.mark.parametrize("url", ["smtp://h:1?tls=1&ssl=1", "smtp://h:port", "smtp://", "mail.example.com", ""])
def test_an_address_that_is_no_mail_server(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        environment.email(url)


def test_the_operators_table_of_variables_is_this_one() -> None:
    text = (Path(environment.BASE_DIR) / "docs" / "operate.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \|", text, flags=re.MULTILINE)
    assert sorted(rows) == sorted(VARIABLES)
    assert {"NAME_FILE", "RISKDESK_SECRETS_DIR"} <= set(re.findall(r"`([A-Z_]+)`", text))
    assert all(field.description for field in Environment.model_fields.values())
