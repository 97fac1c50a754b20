from __future__ import annotations

from django.urls import path

from dashboard.teams import joiningviews, roleviews, views

urlpatterns = [
    path("team/groups/add/", views.add_group, name="team-group"),
    path("team/groups/remove/", views.remove_group, name="team-group-remove"),
    path("team/", views.team, name="team"),
    path("team/use/", views.use, name="team-use"),
    path("team/members/", views.set_role, name="team-member"),
    path("team/members/remove/", views.dismiss, name="team-member-remove"),
    path("team/second-factor/", views.require_factor, name="team-factor"),
    path("team/people/<str:name>/", roleviews.member, name="team-person"),
    path("team/invitations/", joiningviews.invitations, name="team-invitations"),
    path("team/invitations/list/", joiningviews.take_in, name="team-take-in"),
    path("team/invitations/<int:number>/revoke/", joiningviews.revoke, name="team-invitation-revoke"),
    path("team/roles/", roleviews.roles, name="team-roles"),
    path("team/roles/<str:name>/remove/", roleviews.remove, name="team-role-remove"),
    path("join/<str:secret>/", joiningviews.join, name="join"),
    path("welcome/<str:secret>/", views.set_password, name="set-password"),
]
