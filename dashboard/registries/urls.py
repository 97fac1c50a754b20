from __future__ import annotations

from django.urls import path

from dashboard.registries import views

urlpatterns = [
    path("team/registries/", views.registries, name="team-registries"),
    path("team/registries/login/", views.log_in, name="registry-login"),
    path("team/registries/logout/", views.log_out, name="registry-logout"),
]
