from __future__ import annotations

from django.urls import path

from dashboard.imagepolicy import views

urlpatterns = [
    path("team/images/", views.images, name="team-images"),
    path("team/images/listed/", views.set_listed, name="team-images-listed"),
    path("team/images/allow/", views.allow, name="team-images-allow"),
    path("team/images/<int:number>/remove/", views.disallow, name="team-images-remove"),
    path("team/images/ask/", views.ask, name="team-images-ask"),
    path("team/images/requests/<int:number>/", views.decide, name="team-images-decide"),
]
