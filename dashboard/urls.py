"""Every address of the pages. The test matrix (tests/dashboard/matrix.py) has a row for each."""

from __future__ import annotations

from django.urls import include, path

from dashboard.core.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("", include("dashboard.accounts.urls")),
    path("", include("dashboard.teams.urls")),
    path("", include("dashboard.runpolicy.urls")),
    path("", include("dashboard.quotas.urls")),
    path("", include("dashboard.imagepolicy.urls")),
    path("", include("dashboard.registries.urls")),
    path("", include("dashboard.catalog.urls")),
    path("", include("dashboard.transfers.urls")),
    path("", include("dashboard.volumes.urls")),
    path("", include("dashboard.networks.urls")),
    path("", include("dashboard.containers.urls")),
    path("", include("dashboard.terminals.urls")),
    path("", include("dashboard.pages.urls")),
]
handler400 = "dashboard.pages.views.bad_request"
handler403 = "dashboard.pages.views.forbidden"
handler404 = "dashboard.pages.views.not_found"
handler500 = "dashboard.pages.views.server_error"
handler429 = "dashboard.core.middleware.too_many"  # allauth asks for it
