"""Addresses that the widget asks."""

from __future__ import annotations

from django.urls import path

from apps.chat import pages, views

urlpatterns = [
    path("chat/demo/", pages.demo, name="chat_demo"),
    path("chat/<slug:key>/", pages.chat_page, name="chat_page"),
    path("chat/<slug:key>/session", views.session, name="chat_session"),
    path("chat/<slug:key>/config", views.config, name="chat_config"),
    path("chat/<slug:key>/events", views.events, name="chat_events"),
    path("chat/<slug:key>/messages", views.messages, name="chat_messages"),
    path("chat/<slug:key>/read", views.read, name="chat_read"),
    path("chat/<slug:key>/typing", views.typing, name="chat_typing"),
    path("chat/<slug:key>/rating", views.rating, name="chat_rating"),
    path("chat/<slug:key>/files", views.files, name="chat_files"),
    path("chat/<slug:key>/files/<uuid:public_id>", views.file, name="chat_file"),
    path("chat/<slug:key>/transcript", views.transcript, name="chat_transcript"),
    path("chat/<slug:key>/end", views.end, name="chat_end"),
]
