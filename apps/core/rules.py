"""Discovery of rules: detectors, evaluators, indicators and control checks.

A rule is one function in one file of a package such as ``apps.orders.detectors``. A decorator made by
:class:`Registry` carries its metadata. Duplicate slugs stop start-up, so a copied file cannot silently replace a rule.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from django.core.exceptions import ImproperlyConfigured


class Named(Protocol):
    """What a rule of any kind has."""

    @property
    def slug(self) -> str: ...

    @property
    def title(self) -> str: ...


R = TypeVar("R", bound=Named)


described: dict[str, Registry[Any]] = {}
"""Registries by kind whose rules can be described by whoever knows only this layer."""


class Registry(Generic[R]):
    """The rules of one kind, found by importing every module of the packages given to :meth:`discover`.

    Args:
        kind: what the rules are called in messages, such as "detector".
        describe: lines about a rule, for ``manage.py list_rules``, which shows the rules of every registry that has it.
    """

    def __init__(self, kind: str, *, describe: Callable[[R], list[str]] | None = None) -> None:
        self.kind = kind
        self.describe = describe
        self._rules: dict[str, R] = {}
        if describe is not None:
            described[kind] = self

    def add(self, rule: R) -> None:
        """Add a rule.

        Raises:
            ImproperlyConfigured: if another rule has the slug.
        """
        if rule.slug in self._rules:
            raise ImproperlyConfigured(f"Two {self.kind}s are called {rule.slug!r}; slugs must be unique.")
        self._rules[rule.slug] = rule

    def discover(self, package: str) -> None:
        """Import every module of a package, so that the decorators in them run. Missing packages are an error."""
        module = importlib.import_module(package)
        for info in pkgutil.iter_modules(module.__path__, f"{package}."):
            importlib.import_module(info.name)

    def __getitem__(self, slug: str) -> R:
        return self._rules[slug]

    def __contains__(self, slug: str) -> bool:
        return slug in self._rules

    def __iter__(self) -> Iterator[R]:
        return iter(sorted(self._rules.values(), key=lambda rule: rule.slug))

    def __len__(self) -> int:
        return len(self._rules)
