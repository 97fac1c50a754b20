from __future__ import annotations

from django.urls import path

from dashboard.quotas import views

urlpatterns = [path("team/quotas/", views.quotas, name="team-quotas")]
