"""The launcher's command line; see the package's docstring."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.core.launcher.browser import ensure_browser
from apps.core.launcher.errors import LaunchError
from apps.core.launcher.paths import PROJECT, explain_os_error
from apps.core.launcher.running import Run, exec_development, exec_ephemeral


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m apps.core.launcher", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start everything and stay in the foreground")
    run.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    run.add_argument("--port", default=os.environ.get("PORT") or "8000")
    run.add_argument("--no-demo", action="store_true", help="load no demo data")
    execute = commands.add_parser("exec", help="run a command with the servers")
    execute.add_argument("--ephemeral", action="store_true", help="with throw-away servers, for tests")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    commands.add_parser("browser", help="find or install Chromium and print its path")
    for command in (run, execute):
        command.add_argument("--state", type=Path, default=PROJECT / "var", help="folder for data (default: var)")
    return top


def main(arguments: Sequence[str]) -> int:
    """Do what was asked; the exit code. What the person must change is printed in plain words."""
    options = parser().parse_args(arguments)
    state = getattr(options, "state", PROJECT / "var").absolute()
    try:
        if options.command == "browser":
            print(ensure_browser())
            return 0
        if options.command == "run":
            return Run(state=state, host=options.host, port=_port(options.port), demo=not options.no_demo).main()
        words = options.words[1:] if options.words[:1] == ["--"] else options.words
        if not words:
            raise LaunchError("exec needs a command: exec [--ephemeral] -- COMMAND")
        return exec_ephemeral(words) if options.ephemeral else exec_development(words, state=state)
    except LaunchError as error:
        print(f"\nRiskdesk cannot go on. {error}", file=sys.stderr, flush=True)
    except OSError as error:
        print(f"\nRiskdesk cannot go on. {explain_os_error(error, state)}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        return 130
    return 1


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise LaunchError(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
