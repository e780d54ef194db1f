"""Addresses of the desk, under /admin/chat/desk/."""

from django.contrib import admin
from django.urls import path

from apps.chat.desk import acts, views

urlpatterns = [
    path("", admin.site.admin_view(views.page), name="chat_desk"),
    path("list/", views.listed, name="chat_desk_list"),
    path("number/<int:pk>/", admin.site.admin_view(views.numbered), name="chat_desk_number"),
    path("articles/", views.articles, name="chat_desk_articles"),
    path("<uuid:public_id>/", admin.site.admin_view(views.page), name="chat_desk_open"),
    path("<uuid:public_id>/events/", views.opened, name="chat_desk_events"),
    path("<uuid:public_id>/customer/", views.beside, name="chat_desk_customer"),
    path("<uuid:public_id>/canned/", views.canned, name="chat_desk_canned"),
    path("<uuid:public_id>/people/", views.people, name="chat_desk_people"),
    path("<uuid:public_id>/files/", views.send_file, name="chat_desk_send_file"),
    path("<uuid:public_id>/files/<uuid:file_id>/", admin.site.admin_view(views.file), name="chat_desk_file"),
    path("<uuid:public_id>/do/<slug:what>/", acts.act, name="chat_desk_act"),
]
