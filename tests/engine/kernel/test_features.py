from __future__ import annotations

import errno
import os
import tempfile
import time
from dataclasses import replace

import pytest

from engine.errors import HostUnfit
from engine.kernel import features, loop, mounts, namespaces
from engine.kernel.features import OverlayMethod, forced_overlay

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def left_mounted(monkeypatch, tmp_path):
    """Asked anew by each test, in a folder of its own; says what is mounted there. Other processes of the host mount too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    features.forget()
    yield lambda: mounts.mounts_below(tmp_path)
    features.forget()


def test_this_host_is_probed_once_by_really_trying(left_mounted):
    found = features.features()
    assert features.features() is found
    assert found.overlay is not OverlayMethod.NONE
    assert found.squashfs
    assert found.loop
    assert found.kernel == os.uname().release
    assert left_mounted() == []


def refuse(*_args, **_options):
    raise OSError(22, "refused by the test")


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ([], OverlayMethod.FDS),
        (["overlay_of_fds"], OverlayMethod.PATHS),
        (["overlay_of_fds", "overlay_of_paths"], OverlayMethod.OPTIONS),
        (["overlay_of_fds", "overlay_of_paths", "mount_overlay_by_options"], OverlayMethod.NONE),
    ],
)
def test_older_kernels_get_the_next_best_method(monkeypatch, refused, expected):
    if mounts_support() < len(OverlayMethod) - len(refused) - 1:
        pytest.skip("this kernel has no newer method to lose")
    for name in refused:
        monkeypatch.setattr(mounts, name, refuse)
    found = features.features()
    assert found.overlay is expected
    assert ("refused by the test" in found.overlay_problem) == (expected is OverlayMethod.NONE)


def mounts_support():
    order = [OverlayMethod.NONE, OverlayMethod.OPTIONS, OverlayMethod.PATHS, OverlayMethod.FDS]
    found = order.index(features.features().overlay)
    features.forget()
    return found


def test_a_method_can_be_forced_in_the_process_and_from_outside(monkeypatch):
    with forced_overlay(OverlayMethod.OPTIONS):
        assert features.features().overlay is OverlayMethod.OPTIONS
    monkeypatch.setenv(features.FORCE_OVERLAY, "paths")
    assert features.features().overlay is OverlayMethod.PATHS


def test_idmapped_layers_are_tried_with_a_real_layer(monkeypatch):
    found = features.features()
    assert (found.user_namespaces, found.idmapped_layers, found.ids_problem) == (True, True, "")
    features.forget()
    monkeypatch.setattr(mounts, "idmap", refuse)
    found = features.features()
    assert (found.user_namespaces, found.idmapped_layers) == (True, False)
    assert found.ids_problem == "refused by the test"


def wanting(*_args, **_options):
    raise OSError(errno.ENOSPC, "no loop device is left")


def missing(*_args, **_options):
    raise HostUnfit("The program 'tar2sqfs' is not installed on this host.")


@pytest.mark.parametrize(
    ("module", "name", "obstacle", "problem"),
    [
        (loop, "bind", wanting, "no loop device is left"),
        (features, "run", missing, "not installed"),
        (mounts, "mount_squashfs", refuse, "refused by the test"),
        (mounts, "idmap", wanting, "no loop device is left"),
        (mounts, "attach", wanting, "no loop device is left"),
        (mounts, "mount_overlay_by_options", wanting, "no loop device is left"),
        (namespaces, "create_userns", refuse, "refused by the test"),
    ],
)
def test_what_fails_for_another_reason_says_nothing_about_the_kernel_and_is_tried_again(
    monkeypatch, left_mounted, module, name, obstacle, problem
):
    with monkeypatch.context() as patch:
        patch.setattr(module, name, obstacle)
        found = features.features()
        assert (found.idmapped_layers, found.ids_are_known) == (False, False)
        assert problem in found.ids_problem
        assert features.features() is found  # kept for a moment: a try may take seconds
    assert left_mounted() == []
    assert features.features() is found
    later = time.monotonic() + features._TRY_AGAIN_S
    monkeypatch.setattr(features.time, "monotonic", lambda: later)
    found = features.features()
    assert (found.user_namespaces, found.idmapped_layers, found.ids_are_known) == (True, True, True)


def test_a_module_that_is_loaded_later_is_found(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(features, "_has_file_system", lambda _name: False)
        for name in ("overlay_of_fds", "overlay_of_paths", "mount_overlay_by_options"):
            patch.setattr(mounts, name, refuse)
        found = features.features()
        assert (found.overlay, found.squashfs) == (OverlayMethod.NONE, False)
        assert features.features() is found
    later = time.monotonic() + features._TRY_AGAIN_S
    monkeypatch.setattr(features.time, "monotonic", lambda: later)
    found = features.features()
    assert (found.overlay is not OverlayMethod.NONE, found.squashfs) == (True, True)


def test_an_answer_of_the_kernel_is_kept(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(mounts, "idmap", refuse)
        found = features.features()
        assert found.ids_are_known
    later = time.monotonic() + 10 * features._TRY_AGAIN_S
    monkeypatch.setattr(features.time, "monotonic", lambda: later)
    assert features.features() is found


def test_owners_that_are_not_translated_are_no_idmapped_layers(monkeypatch):
    monkeypatch.setattr(mounts, "idmap", lambda *_: None)
    assert not features.features().idmapped_layers


def test_a_kernel_without_user_namespaces_is_found_so(monkeypatch):
    monkeypatch.setattr(namespaces, "create_userns", refuse)
    found = features.features()
    assert (found.user_namespaces, found.idmapped_layers) == (False, False)


def test_shared_ids_can_be_forced_in_the_process_and_from_outside(monkeypatch):
    with features.forced_shared_ids():
        assert not features.features().idmapped_layers
    assert features.features().idmapped_layers
    monkeypatch.setenv(features.FORCE_SHARED_IDS, "1")
    assert not features.features().idmapped_layers


def test_versions_of_kernels_are_read():
    found = features.features()
    assert replace(found, kernel="6.10-rc1").kernel_version == (6, 10)
    assert replace(found, kernel="strange").kernel_version == (0, 0)
