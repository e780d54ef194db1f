"""The production shape, as far as it can be tried without Docker: files, variables, secrets, commands, probes."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import psycopg
import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django.db import connection
from django.utils import timezone
from psycopg import sql

from config import env as environment
from config.env import Environment
from tests.support.launch import clean_environment, free_port, remaining

ROOT = Path(environment.BASE_DIR)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
LASTING = [name for name in OURS if name != "migrate"]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
KNOWN = {name.upper() for name in Environment.model_fields} | {"RISKDESK_SECRETS_DIR"}
pytestmark = pytest.mark.xdist_group("installations")
PATIENCE = 120.0  # seconds for a program to start, on a machine that is busy with other things
ANSWERS = {"RISKDESK_HOST": "desk.example.com"}  # what the person writes into .env


def expanded(value: str) -> str:
    """A value with Compose's ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?error}`` filled in, and ``$$`` undone."""

    def fill(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        assert name in ANSWERS or default is not None, f"{name} has neither an answer nor a default"
        return ANSWERS.get(name) or expanded(default or "")

    return re.sub(r"\$\{(\w+)(?::-((?:[^{}]|\$\{\w+\})*)|:\?[^{}]*)?\}", fill, value).replace("$$", "$")


def instructions(word: str) -> list[str]:
    """The arguments of every such instruction of the Dockerfile."""
    return [line.split(None, 1)[1].strip() for line in DOCKERFILE.splitlines() if line.startswith(word + " ")]


def command_of(name: str) -> list[str]:
    """What the service runs: its own command, or the image's."""
    given = SERVICES[name].get("command")
    return [expanded(str(part)) for part in given] if given else yaml.safe_load(instructions("CMD")[-1])


def probe_of(name: str) -> list[str]:
    given = SERVICES[name].get("healthcheck", {}).get("test")
    return given[1:] if given else yaml.safe_load(instructions("HEALTHCHECK")[-1].split("CMD", 1)[1])


def variables_of(name: str) -> dict[str, str]:
    return {key: expanded(str(value)) for key, value in SERVICES[name]["environment"].items()}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the documented command makes."""
    folder = tmp_path_factory.mktemp("deployment") / "secrets"
    make_secrets(folder, EMAIL_URL="smtp://desk:hunter2@mail.example.com:587?tls=1").check_returncode()
    return folder


def make_secrets(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "deploy" / "secrets.sh"), str(folder)]
    return subprocess.run(command, env=clean_environment(**more), capture_output=True, text=True, timeout=20)


def test_secrets_are_made_once_and_only_with_a_mail_server(secrets: Path, tmp_path: Path) -> None:
    assert "Name your mail server" in make_secrets(tmp_path / "none").stderr
    assert not (tmp_path / "none").exists()
    before = {file.name: file.read_text() for file in secrets.iterdir()}
    assert make_secrets(secrets).returncode == 0
    assert {file.name: file.read_text() for file in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o077 == 0


def test_each_secret_that_is_mounted_is_declared_and_made(secrets: Path) -> None:
    assert {Path(entry["file"]).name for entry in COMPOSE["secrets"].values()} == {f.name for f in secrets.iterdir()}
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
    for name, entry in COMPOSE["secrets"].items():
        assert Path(entry["file"]).name == name, "the settings look for a variable's name"


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_known_and_production_accepts_them(
    name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = variables_of(name)
    assert given.keys() <= KNOWN
    assert given["RISKDESK_SECRETS_DIR"] == "/run/secrets", "where Docker mounts them"
    for variable in KNOWN:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {**given, "RISKDESK_SECRETS_DIR": str(secrets)}.items():
        monkeypatch.setenv(variable, value)
    loaded = environment.load()
    assert loaded.riskdesk_env == "production"
    for mounted in SERVICES[name]["secrets"]:
        value = getattr(loaded, mounted)
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else ",".join(value)
        assert text == (secrets / mounted).read_text().strip()


def test_the_servers_and_their_addresses_agree(secrets: Path) -> None:
    for url, service, password in (
        ("database_url", "database", "database_password"),
        ("redis_url", "queue", "queue_password"),
    ):
        parts = urlsplit((secrets / url).read_text().strip())
        assert parts.hostname == service
        assert parts.password == (secrets / password).read_text().strip()
        assert password in SERVICES[service]["secrets"]
        assert "ports" not in SERVICES[service], "reached from inside alone"
        assert SERVICES[service]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"]
    assert SERVICES["database"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/database_password"


def test_no_secret_stands_in_the_files() -> None:
    names = {name.upper() for name in COMPOSE["secrets"]}
    for service in OURS:
        assert not names & variables_of(service).keys()
    assert not any(name in line for line in [*instructions("ARG"), *instructions("ENV")] for name in names)
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"deploy/secrets/", ".env"} <= set(ignored)


def test_everything_is_watched_keeps_its_data_and_may_do_little() -> None:
    for name, service in SERVICES.items():
        assert probe_of(name) or name == "migrate"
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name in LASTING:
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["web"]["deploy"]["replicas"] > 1
    assert SERVICES["beat"]["deploy"]["replicas"] == 1
    mounted = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if not v.startswith(".")}
    assert mounted == COMPOSE["volumes"].keys()


def test_images_are_pinned_to_a_version() -> None:
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    images += [line.split()[0] for line in instructions("FROM")]
    for image in images:
        assert ":" in image
        assert not image.endswith(":latest")


def test_the_image_is_not_root_and_installs_by_hash() -> None:
    user = instructions("USER")[-1]
    assert user.split(":")[0].isdigit()
    assert int(user.split(":")[0]) > 0
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER" in last_stage
    assert "--chown" not in last_stage, "the program may not change itself"
    assert any("--require-hashes" in line for line in instructions("RUN"))
    assert any("collect-static.sh" in line for line in instructions("RUN"))
    assert "embedded" not in (ROOT / "requirements.txt").read_text(), "production brings its own servers"


def test_what_the_image_needs_is_let_in_and_nothing_secret_is() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*", "what is not named stays out"
    admitted = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / path).exists() for path in admitted)
    assert {"apps", "config", "static", "templates", "manage.py", "requirements.txt", "deploy/probe.py"} <= admitted
    assert not any(path.startswith((".", "var")) or "secret" in path for path in admitted)


def test_the_public_name_has_a_proxy_that_hides_the_metrics() -> None:
    caddy = (ROOT / "deploy" / "Caddyfile").read_text()
    assert "{$RISKDESK_HOST}" in caddy
    assert "respond /metrics 404" in caddy
    assert "dynamic a web 8000" in caddy
    assert instructions("EXPOSE") == ["8000"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


@pytest.mark.parametrize("name", OURS)
def test_the_commands_exist(name: str) -> None:
    program, *arguments = command_of(name)
    if program == "python":
        assert arguments[0] == "manage.py"
        assert arguments[1] in get_commands()
    else:
        assert program in {script.name for script in importlib.metadata.entry_points(group="console_scripts")}


def test_what_is_let_in_is_all_that_the_image_runs(tmp_path: Path) -> None:
    """The build's last steps on a copy of just those files. The production storage refuses a stylesheet that names a
    file which is not there.
    """
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] not in "#*"]
    for path in (line[1:] for line in lines if line.startswith("!")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy2
        copy(ROOT / path, tmp_path / path)
    for path in (line for line in lines if not line.startswith("!")):
        shutil.rmtree(tmp_path / path)
    env = clean_environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    check = ". deploy/throw-away-env.sh && python manage.py check --deploy --fail-level WARNING"
    for command in ("deploy/collect-static.sh", check):
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
    assert list((tmp_path / "var" / "static" / "core").glob("riskdesk.????????????.css"))


@pytest.fixture(scope="module")
def database(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The address of a migrated database of its own, since real processes commit what they write."""
    name = f"riskdesk_deployment_{uuid4().hex[:8]}"
    with django_db_blocker.unblock():
        migrated = connection.settings_dict["NAME"]
        connection.close()  # a template must not be in use
    url = urlsplit(environment.load().database_url.get_secret_value())
    with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(migrated)))
        yield url._replace(path=f"/{name}").geturl()
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def production(secrets: Path, database: str, tmp_path: Path) -> Any:
    """A service's own variables and secrets; of these only the servers' addresses are the test's."""
    queue = settings.REDIS_URL
    folder = tmp_path / "secrets"
    folder.mkdir()
    for file in secrets.iterdir():
        (folder / file.name).write_text({"database_url": database, "redis_url": queue}.get(file.name, file.read_text()))

    def of(name: str, **more: str) -> dict[str, str]:
        given = variables_of(name)
        if "PROMETHEUS_MULTIPROC_DIR" in given:
            given |= {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"), "WORKER_METRICS_PORT": str(free_port())}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**clean_environment(), "PATH": path, **given, "RISKDESK_SECRETS_DIR": str(folder), **more}

    return of


@contextmanager
def started(command: list[str], env: dict[str, str], log: Path) -> Iterator[psutil.Popen]:
    """A service's command, running; it must end by itself when it is asked to, as Compose asks."""
    with log.open("wb") as stream:
        process = psutil.Popen(command, cwd=ROOT, env=env, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield process
        below = process.children(recursive=True)
        stop(process)
        assert remaining(below, patience=5) == []
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def stop(process: psutil.Popen) -> None:
    """Ask it to end, again and again: beat can swallow a signal that arrives inside a call to the queue."""
    for _ in range(20):
        process.terminate()
        try:
            process.wait(3)
        except psutil.TimeoutExpired:
            continue
        return
    raise AssertionError("it did not end in a minute")


def until_well(name: str, env: dict[str, str], process: psutil.Popen, log: Path) -> None:
    """Ask the service's own probe until it is content."""
    deadline = time.monotonic() + PATIENCE
    while (asked := ask(name, env)).returncode != 0:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, asked.stderr + log.read_text()


def ask(name: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(probe_of(name), cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.django_db
def test_migrating_again_changes_nothing(production: Any) -> None:
    done = subprocess.run(command_of("migrate"), cwd=ROOT, env=production("migrate"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "No migrations to apply" in done.stdout


@pytest.mark.django_db
def test_the_web_command_serves_and_its_probe_tells(production: Any, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "web.log"
    command = [
        str(port) if word == "8000" else "127.0.0.1" if word == "0.0.0.0" else word for word in command_of("web")
    ]
    assert command != command_of("web")
    env = production("web", PORT=str(port))
    assert "no answer" in ask("web", env).stderr
    with started(command, env, log) as process:
        until_well("web", env, process, log)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /admin/ HTTP/1.1\r\nHost: desk.example.com\r\nConnection: close\r\n\r\n")
            answer = client.makefile("rb").read().decode()
    assert "301" in answer.splitlines()[0], "plain HTTP is led to HTTPS"
    assert "\nserver:" not in answer.lower()


@pytest.mark.django_db
def test_the_probe_of_a_web_server_without_a_database_fails(production: Any, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "web.log"
    env = production("web", PORT=str(port))
    (Path(env["RISKDESK_SECRETS_DIR"]) / "redis_url").write_text("unix:///nowhere/valkey.sock?db=0")
    command = [str(port) if word == "8000" else word for word in command_of("web")]
    with started(command, env, log):
        deadline = time.monotonic() + PATIENCE
        while "no answer" in (asked := ask("web", env)).stderr:
            assert time.monotonic() < deadline, log.read_text()
    assert asked.returncode == 1
    assert '"valkey": "unavailable"' in asked.stderr


@pytest.mark.django_db
def test_the_workers_commands_work_and_their_probes_tell(production: Any, tmp_path: Path) -> None:
    env, other = production("worker"), production("answers")
    log, others = tmp_path / "worker.log", tmp_path / "answers.log"
    assert "does not answer" in ask("worker", env).stderr
    with started(command_of("worker"), env, log) as process, started(command_of("answers"), other, others) as second:
        until_well("worker", env, process, log)
        until_well("answers", other, second, others)
    assert "does not answer" in ask("answers", other).stderr


def test_the_workers_take_every_queue() -> None:
    taken = {command[command.index("-Q") + 1] for command in map(command_of, ("worker", "answers"))}
    assert taken == set(settings.CELERY_TASK_QUEUES)


@pytest.mark.django_db
def test_the_beat_command_schedules_and_its_probe_tells(production: Any, database: str, tmp_path: Path) -> None:
    env, log = production("beat"), tmp_path / "beat.log"
    table = sql.Identifier("django_celery_beat_periodictask")
    with psycopg.connect(database, autocommit=True) as rows:
        long_ago = timezone.now() - timedelta(hours=1)
        rows.execute(sql.SQL("UPDATE {} SET last_run_at = %s").format(table), [long_ago])
        assert "nothing was scheduled" in ask("beat", env).stderr
        with started(command_of("beat"), env, log) as process:
            deadline = time.monotonic() + PATIENCE
            while "Sending due task" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
    # It writes its turns down every three minutes, and when it ends.
    assert ask("beat", env).returncode == 0
