from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    name = "apps.knowledge"
    label = "knowledge"
    verbose_name = "Knowledge base"

    def ready(self) -> None:
        from apps.core.audit import audit  # models are not there before
        from apps.knowledge import models

        audit(models.Article, m2m=["reviewers"], exclude=["reminded_on"])
        audit(models.ArticleVersion, exclude=["digest", "updated_at"])
        for model in (models.Category, models.Synonym, models.Gap):
            audit(model)
