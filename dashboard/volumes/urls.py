from __future__ import annotations

from django.urls import path

from dashboard.volumes import archive_views, views

urlpatterns = [
    path("volumes/", views.volumes, name="volumes"),
    path("volumes/create/", views.create, name="volume-create"),
    path("volumes/<str:name>/", archive_views.volume, name="volume"),
    path("volumes/<str:name>/remove/", views.remove, name="volume-remove"),
    path("volumes/<str:name>/backup/", archive_views.backup, name="volume-backup"),
    path("volumes/<str:name>/restore/", archive_views.restore, name="volume-restore"),
    path("volumes/<str:name>/restore/<str:key>/", archive_views.restore_start, name="volume-restore-start"),
    path("volumes/<str:name>/transfers/<str:key>/", archive_views.transfer, name="volume-transfer"),
]
