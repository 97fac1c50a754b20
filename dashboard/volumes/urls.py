from __future__ import annotations

from django.urls import path

from dashboard.volumes import views

urlpatterns = [
    path("volumes/", views.volumes, name="volumes"),
    path("volumes/create/", views.create, name="volume-create"),
    path("volumes/<str:name>/remove/", views.remove, name="volume-remove"),
]
