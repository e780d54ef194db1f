"""Addresses of the help centre."""

from django.urls import path

from apps.knowledge.centre import asking, maps, views

urlpatterns = [
    path("help/", views.home, name="help_home"),
    path("help/categories/<slug:slug>/", views.category, name="help_category"),
    path("help/articles/<slug:slug>/", views.article, name="help_article"),
    path("help/articles/<slug:slug>/feedback/", asking.helpful, name="help_feedback"),
    path("help/search/", asking.search, name="help_search"),
    path("help/suggest/", asking.suggest, name="help_suggest"),
    path("help/answers/<str:token>/", asking.answered, name="help_answered"),
    path("help/sitemap.xml", maps.sitemap, name="help_sitemap"),
    path("help/sitemap-<int:number>.xml", maps.sitemap_part, name="help_sitemap_part"),
    path("robots.txt", maps.robots, name="robots"),
]
