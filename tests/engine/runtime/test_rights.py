from __future__ import annotations

import pytest

from engine.errors import RequestRefused
from engine.runtime import confinement
from engine.runtime.policy import Policy
from engine.runtime.rights import RightsRequest, capabilities, refuse_unfit_rights

pytestmark = pytest.mark.threat("RUN-08")


def test_without_a_wish_it_is_the_default():
    assert set(capabilities(RightsRequest(), Policy())) == set(confinement.DEFAULT_CAPABILITIES)


@pytest.mark.parametrize("name", sorted(confinement.WITHHELD_CAPABILITIES))
def test_what_docker_gives_may_be_added_back_unless_the_policy_says_otherwise(name):
    rights = RightsRequest(cap_add=(name,))
    assert name in capabilities(rights, Policy())
    with pytest.raises(RequestRefused, match=f"policy does not allow {name}"):
        capabilities(rights, Policy(capabilities=frozenset()))


@pytest.mark.parametrize("name", confinement.KNOWN_CAPABILITIES)
def test_more_than_docker_gives_needs_the_policy_and_some_are_never_given(name):
    if name in confinement.DOCKER_CAPABILITIES:
        return
    rights = RightsRequest(cap_add=(name,))
    with pytest.raises(RequestRefused, match=name):
        capabilities(rights, Policy())
    if name in confinement.GRANTABLE_CAPABILITIES:
        assert name in capabilities(rights, Policy(capabilities=frozenset({name})))
    else:
        with pytest.raises(RequestRefused, match="reaches beyond the container"):
            capabilities(rights, Policy())


def test_all_of_them_are_never_given():
    with pytest.raises(RequestRefused, match="has all capabilities"):
        refuse_unfit_rights(RightsRequest(cap_add=("ALL",)), Policy())
    assert capabilities(RightsRequest(cap_drop=("ALL",)), Policy()) == ()


def test_an_unknown_name_is_refused_in_dockers_words():
    with pytest.raises(RequestRefused, match='unknown capability: "CAP_NOPE"'):
        RightsRequest(cap_drop=("CAP_NOPE",))


def test_no_filter_of_system_calls_only_by_policy():
    rights = RightsRequest(unconfined=True)
    refuse_unfit_rights(rights, Policy(seccomp_unconfined=True))
    with pytest.raises(RequestRefused, match="without a filter of system calls"):
        refuse_unfit_rights(rights, Policy())
