from __future__ import annotations

from django.urls import path

from dashboard.teams import views

urlpatterns = [
    path("team/", views.team, name="team"),
    path("team/use/", views.use, name="team-use"),
    path("team/members/", views.set_role, name="team-member"),
    path("team/members/remove/", views.dismiss, name="team-member-remove"),
    path("welcome/<str:secret>/", views.set_password, name="set-password"),
]
