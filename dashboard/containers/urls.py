from __future__ import annotations

from django.urls import path

from dashboard.containers import copyviews, lifeviews, movingviews, networkviews, trashviews, views

urlpatterns = [
    path("containers/", views.containers, name="containers"),
    path("containers/run/", views.run, name="run"),
    path("containers/run/line/", views.run_line, name="run-line"),
    path("containers/selected/", views.act_on_selected, name="containers-selected"),
    path("containers/trash/", trashviews.shown, name="trash"),
    path("containers/trash/undo/", trashviews.undo, name="trash-undo"),
    path("containers/trash/empty/", trashviews.empty, name="trash-empty"),
    path("containers/trash/<str:container_id>/restore/", trashviews.restore, name="trash-restore"),
    path("containers/trash/<str:container_id>/remove/", trashviews.remove, name="trash-remove"),
    path("containers/<str:container_id>/", views.container, name="container"),
    path("containers/<str:container_id>/start/", views.start, name="container-start"),
    path("containers/<str:container_id>/stop/", views.stop, name="container-stop"),
    path("containers/<str:container_id>/kill/", views.kill, name="container-kill"),
    path("containers/<str:container_id>/restart/", views.restart, name="container-restart"),
    path("containers/<str:container_id>/pause/", views.pause, name="container-pause"),
    path("containers/<str:container_id>/unpause/", views.unpause, name="container-unpause"),
    path("containers/<str:container_id>/rename/", views.rename, name="container-rename"),
    path("containers/<str:container_id>/move/", movingviews.move, name="container-move"),
    path("containers/<str:container_id>/update/", views.update, name="container-update"),
    path("containers/<str:container_id>/remove/", views.remove, name="container-remove"),
    path("containers/<str:container_id>/extend/", lifeviews.extend, name="container-extend"),
    path("containers/<str:container_id>/keep/", lifeviews.keep, name="container-keep"),
    path("team/life/", lifeviews.rules, name="team-life"),
    path("containers/<str:container_id>/shell/", views.shell, name="container-shell"),
    path("containers/<str:container_id>/copy/out/", copyviews.copy_out, name="container-copy-out"),
    path("containers/<str:container_id>/copy/in/", copyviews.copy_in, name="container-copy-in"),
    path("containers/<str:container_id>/copy/<str:key>/", copyviews.copy, name="container-copy"),
    path("containers/<str:container_id>/copy/<str:key>/start/", copyviews.copy_start, name="container-copy-start"),
    path("execs/<str:exec_id>/end/", views.exec_end, name="exec-end"),
    path("networks/<str:network_id>/", networkviews.network, name="network"),
    path("networks/<str:network_id>/connect/", networkviews.connect, name="network-connect"),
    path("networks/<str:network_id>/disconnect/", networkviews.disconnect, name="network-disconnect"),
]
