"""Only those of allauth's addresses that are used: signing up and everything by e-mail has none."""

from __future__ import annotations

from allauth.account import views as allauth
from django.urls import path

from dashboard.accounts import views

urlpatterns = [
    path("accounts/login/", allauth.login, name="account_login"),
    path("accounts/logout/", allauth.logout, name="account_logout"),
    path("accounts/password/change/", views.change_password, name="account_change_password"),
    path("setup/<str:token>/", views.setup, name="setup"),
    path("me/sign-ins/end/", views.end_other_sign_ins, name="sign-ins-end"),
    path("me/sign-ins/<int:number>/end/", views.end_sign_in, name="sign-in-end"),
    path("me/tokens/", views.create_token, name="token-create"),
    path("me/tokens/<int:number>/revoke/", views.revoke_token, name="token-revoke"),
    path("me/", views.preferences, name="preferences"),
]
