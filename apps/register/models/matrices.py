"""Matrices: which level a probability and an impact make together, as versioned data."""

from __future__ import annotations

from django.db import models


class Matrix(models.Model):
    """A way to score risks, such as Low/Medium/High by Low/Medium/High."""

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=120)

    class Meta:
        ordering = ["title"]
        verbose_name_plural = "matrices"

    def __str__(self) -> str:
        return self.title


class MatrixVersion(models.Model):
    """One version of a matrix. Never changed (database trigger): scores keep the version they were made with.

    ``data`` is checked by :class:`apps.register.matrices.MatrixData`: the steps of both scales from the lowest up, the
    levels from the lowest up, and for each probability the level that each impact makes with it.
    """

    matrix = models.ForeignKey(Matrix, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    data = models.JSONField()
    reason = models.CharField(max_length=300)
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["matrix", "-number"]
        constraints = [models.UniqueConstraint(fields=["matrix", "number"], name="matrixversion_number")]

    def __str__(self) -> str:
        return f"{self.matrix} v{self.number}"
