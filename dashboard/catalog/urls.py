from __future__ import annotations

from django.urls import path

from dashboard.catalog import views

urlpatterns = [
    path("catalog/", views.catalog, name="catalog"),
    path("catalog/pull/", views.pull, name="pull"),
    path("catalog/selected/remove/", views.remove_selected, name="images-selected"),
    path("catalog/pulls/<int:job_id>/again/", views.pull_again, name="pull-again"),
    path("catalog/pulls/<int:job_id>/dismiss/", views.pull_dismiss, name="pull-dismiss"),
    path("catalog/images/<str:image_hex>/", views.image, name="image"),
    path("catalog/images/<str:image_hex>/remove/", views.remove, name="image-remove"),
    path("catalog/images/<str:image_hex>/share/", views.share, name="image-share"),
]
