from __future__ import annotations

from django.urls import path

from dashboard.terminals import views

urlpatterns = [
    path("terminals/", views.terminals, name="terminals"),
    path("terminals/exec/<str:exec_id>/", views.exec_terminal, name="exec-terminal"),
    path("terminals/<str:container_id>/", views.terminal, name="terminal"),
]
