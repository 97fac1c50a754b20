from __future__ import annotations

from django.urls import path

from dashboard.teams import joining_views, role_views, views

urlpatterns = [
    path("team/", views.team, name="team"),
    path("team/use/", views.use, name="team-use"),
    path("team/members/", views.set_role, name="team-member"),
    path("team/members/remove/", views.dismiss, name="team-member-remove"),
    path("team/people/<str:name>/", role_views.member, name="team-person"),
    path("team/invitations/", joining_views.invitations, name="team-invitations"),
    path("team/invitations/list/", joining_views.take_in, name="team-take-in"),
    path("team/invitations/<int:number>/revoke/", joining_views.revoke, name="team-invitation-revoke"),
    path("team/roles/", role_views.roles, name="team-roles"),
    path("team/roles/<str:name>/remove/", role_views.remove, name="team-role-remove"),
    path("join/<str:secret>/", joining_views.join, name="join"),
    path("welcome/<str:secret>/", views.set_password, name="set-password"),
]
