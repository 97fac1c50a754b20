from __future__ import annotations

from django.urls import path

from dashboard.networks import views

urlpatterns = [
    path("networks/", views.networks, name="networks"),
    path("networks/create/", views.create, name="network-create"),
    path("networks/<str:network_id>/remove/", views.remove, name="network-remove"),
]
