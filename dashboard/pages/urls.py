from __future__ import annotations

from django.urls import path

from dashboard.pages import auditing, site, views

urlpatterns = [
    path("", views.home, name="home"),
    path("activity/", views.activity, name="activity"),
    path("activity/<int:job_id>/", views.job, name="job"),
    path("activity/<int:job_id>/cancel/", views.cancel, name="job-cancel"),
    path("audit/", auditing.audit, name="audit"),
    path("system/", views.system, name="system"),
    path("system/site/", site.site, name="site"),
    path("system/site/teams/", site.create_team, name="site-team-create"),
    path("system/site/teams/<str:slug>/remove/", site.remove_team, name="site-team-remove"),
    path("system/site/people/", site.create_person, name="site-person-create"),
    path("system/site/people/<str:name>/", site.change_person, name="site-person"),
    path("system/check/", views.system_check, name="system-check"),
]
