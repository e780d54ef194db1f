"""Addresses of the core."""
urlpatterns: list = []
