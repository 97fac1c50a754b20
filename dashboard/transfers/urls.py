from __future__ import annotations

from django.urls import path

from dashboard.transfers import views

urlpatterns = [
    path("transfers/<str:key>/", views.download, name="transfer"),
    path("transfers/<str:key>/cancel/", views.cancel, name="transfer-cancel"),
]
