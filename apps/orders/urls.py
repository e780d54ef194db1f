"""Addresses of the orders: webhooks, with the topic in the path or in its header."""

from django.urls import path, re_path

from apps.orders.webhooks import webhook

urlpatterns = [
    path("webhooks/", webhook, name="webhook"),
    path("webhooks/shopify", webhook, name="webhook_shopify"),
    path("webhooks/shopify/", webhook),
    re_path(r"^webhooks/(?P<topic>[a-z_]+/[a-z_]+)/?$", webhook, name="webhook_topic"),
]
