from __future__ import annotations

from django.urls import path

from dashboard.pages import auditing, views

urlpatterns = [
    path("", views.home, name="home"),
    path("activity/", views.activity, name="activity"),
    path("activity/<int:job_id>/", views.job, name="job"),
    path("activity/<int:job_id>/cancel/", views.cancel, name="job-cancel"),
    path("audit/", auditing.audit, name="audit"),
    path("system/", views.system, name="system"),
    path("system/check/", views.system_check, name="system-check"),
]
