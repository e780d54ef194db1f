"""Addresses of the knowledge base's API."""

from django.urls import path

from apps.knowledge import api

urlpatterns = [
    path("knowledge/search", api.SearchView.as_view(), name="knowledge_search"),
    path("knowledge/articles/<slug:slug>", api.ArticleView.as_view(), name="knowledge_article"),
    path("knowledge/answer", api.AnswerView.as_view(), name="knowledge_answer"),
]
