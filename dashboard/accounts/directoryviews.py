"""To the OpenID Connect provider and back."""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

log = logging.getLogger(__name__)


def _refuse_without_provider() -> None:
    if not settings.SOCIALACCOUNT_PROVIDERS:
        raise Http404


@never_cache
@login_not_required
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Only ever to sign in: allauth's other uses of this way (connecting an account) are not had."""
    _refuse_without_provider()
    import requests
    from allauth.core.exceptions import ImmediateHttpResponse
    from allauth.socialaccount.adapter import get_adapter

    from dashboard.accounts import directory

    wanted = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    try:
        provider = get_adapter(request).get_provider(request, provider=directory.PROVIDER)
        answer: HttpResponse = provider.redirect(request, process="login", next_url=wanted if is_ours else None)
    except ImmediateHttpResponse as error:
        answer = error.response
    except (requests.RequestException, ValueError, KeyError):
        log.warning("the OpenID Connect provider cannot be asked", exc_info=True)
        answer = directory.refused(request)
    return answer


@never_cache
@login_not_required
@require_safe
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """What the provider answers is a stranger's: whatever is wrong with it ends where one signs in."""
    _refuse_without_provider()
    import jwt
    import requests
    from allauth.socialaccount.providers.openid_connect import views

    from dashboard.accounts import directory

    try:
        answer: HttpResponse = views.callback(request, provider_id)
    except (requests.RequestException, jwt.PyJWTError, ValueError, KeyError, TypeError):
        log.warning("the OpenID Connect provider's answer cannot be read", exc_info=True)
        answer = directory.refused(request)
    return answer
