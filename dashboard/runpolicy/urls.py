from __future__ import annotations

from django.urls import path

from dashboard.runpolicy import views

urlpatterns = [path("team/policy/", views.run_policy, name="team-policy")]
