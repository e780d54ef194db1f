"""What the search reads: passages made from published versions, their vectors, and how sure it must be."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from pgvector.django import HalfVectorField

from apps.knowledge.models.articles import Article
from apps.knowledge.models.versions import ArticleVersion

DIMENSIONS = 384


class Passage(models.Model):
    """A piece of a published version that can be found: its title, a way to ask it, or a part of its body.

    Derived data: made anew from versions and questions at any time. Audience, language and scope are the article's, so
    that the query which finds a passage also decides who may see it.
    """

    class Kind(models.TextChoices):
        TITLE = "title", "Title"
        QUESTION = "question", "Another way to ask"
        BODY = "body", "Part of the body"

    article = models.ForeignKey(Article, models.CASCADE, related_name="passages")
    version = models.ForeignKey(ArticleVersion, models.CASCADE, related_name="passages")
    kind = models.CharField(max_length=8, choices=Kind)
    position = models.PositiveIntegerField(default=0)
    heading = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    audience = models.CharField(max_length=10)
    language = models.CharField(max_length=10)
    scope = models.ForeignKey("core.Scope", models.CASCADE, null=True, blank=True, related_name="+")
    edition = models.PositiveIntegerField(default=0, help_text="The article's, when this was made from it.")
    words = SearchVectorField(default="", help_text="Stems without accents, in the article's language.")

    class Meta:
        ordering = ["article", "id"]
        indexes = [GinIndex(fields=["words"], name="passage_words")]

    def __str__(self) -> str:
        return self.text[:60]


class Word(models.Model):
    """A stem, and in how many passages it is: which words tell much, and what a misspelt one was meant to be."""

    language = models.CharField(max_length=10)
    stem = models.CharField(max_length=100)
    passages = models.IntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["language", "stem"], name="word_once")]
        indexes = [GinIndex(fields=["stem"], name="word_trigrams", opclasses=["gin_trgm_ops"])]

    def __str__(self) -> str:
        return self.stem


class SearchIndex(models.Model):
    """The state of the index: one row, changed in the transaction of each change of passages."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    generation = models.PositiveBigIntegerField(default=0, help_text="Answers kept from another one are not used.")
    passages = models.PositiveIntegerField(default=0)
    model = models.CharField(max_length=60, blank=True, help_text="The embedding model whose vectors answer.")
    model_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="searchindex_one")]

    def __str__(self) -> str:
        return f"Generation {self.generation}"


class IndexBuild(models.Model):
    """One making anew of the index, or one change to another embedding model: how far it is, and what hindered it."""

    class Kind(models.TextChoices):
        REBUILD = "rebuild", "All passages made anew"
        VECTORS = "vectors", "Vectors of another model"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        GIVEN_UP = "given_up", "Given up"

    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    model = models.CharField(max_length=60, blank=True, help_text="The embedding model that is changed to.")
    total = models.PositiveIntegerField(default=0, help_text="Articles of a rebuild, passages of a change of model.")
    done = models.PositiveIntegerField(default=0)
    after = models.BigIntegerField(default=0, help_text="Id of the last article that is done: where it goes on.")
    skipped = models.PositiveIntegerField(default=0, help_text="Articles that could not be indexed.")
    last_error = models.CharField(max_length=300, blank=True)
    started_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=models.Q(state="running"), name="indexbuild_one_running"
            ),
            models.CheckConstraint(
                condition=models.Q(state="running") | models.Q(finished_at__isnull=False), name="indexbuild_ended_when"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.done} of {self.total}"


class PassageVector(models.Model):
    """A passage as a vector of one embedding model. Two models may be there at once while one replaces the other."""

    passage = models.ForeignKey(Passage, models.CASCADE, related_name="vectors")
    model = models.CharField(max_length=60, help_text="Name and version of the embedding model.")
    vector = HalfVectorField(dimensions=DIMENSIONS)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["passage", "model"], name="passagevector_once")]

    def __str__(self) -> str:
        return f"{self.passage_id} by {self.model}"


class AnswerSettings(models.Model):
    """How sure the answers must be. A version each; made by ``calibrate_answers`` or by a person, never changed."""

    number = models.PositiveIntegerField(unique=True)
    answer_at = models.FloatField(help_text="Confidence from which the top article is answered.")
    choose_at = models.FloatField(help_text="Confidence from which a few articles are offered.")
    calibration = models.JSONField(help_text="Weights of the features, and what the confidence is made with.")
    model = models.CharField(max_length=60, help_text="The embedding model it was calibrated with.")
    metrics = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=300)
    created_by = models.ForeignKey("core.User", models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        verbose_name_plural = "answer settings"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(choose_at__gte=0, choose_at__lte=models.F("answer_at"), answer_at__lte=1),
                name="answersettings_thresholds",
            )
        ]

    def __str__(self) -> str:
        return f"Answers v{self.number}"
