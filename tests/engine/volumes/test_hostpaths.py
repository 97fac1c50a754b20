"""Which paths of the host may ever be given to a container (RUN-06)."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import EngineConfig
from engine.errors import RequestRefused
from engine.runtime.policy import parse_policy
from engine.volumes.hostpaths import refuse_host_path

pytestmark = pytest.mark.threat("RUN-06")
CONFIG = EngineConfig(data=Path("/var/lib/berth"), uid=1, gid=1)
ALLOWED = parse_policy('[ceilings]\nhost_paths = ["/srv/shared", "/home"]').host_paths


@pytest.mark.parametrize("path", ["/srv/shared", "/srv/shared/a b/c", "/home", "/home/haeun"])
def test_what_the_list_names_and_what_is_below_it_is_allowed(path):
    refuse_host_path(CONFIG, path, ALLOWED)


@pytest.mark.parametrize("path", ["/srv", "/srv/shared2", "/mnt/x", "/opt"])
def test_what_the_list_does_not_name_is_refused_with_the_way_to_go(path):
    with pytest.raises(RequestRefused, match=r"policy does not allow the host path .* Use a volume"):
        refuse_host_path(CONFIG, path, ALLOWED)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/etc", "/etc/ssl", "/proc/1/root", "/sys", "/dev/sda", "/run/docker.sock", "/var/run/docker.sock"),
        *("/usr/bin", "/bin", "/lib64", "/boot", "/root/.ssh", "/var", "/var/lib", "/var/lib/docker/volumes"),
        *("/var/lib/containerd", "/var/lib/berth", "/var/lib/berth/volumes/data", "/var/spool/cron/root"),
    ],
)
def test_places_of_the_system_and_of_engines_are_refused_whatever_the_list_says(path):
    with pytest.raises(RequestRefused, match="never given to a container"):
        refuse_host_path(CONFIG, path, [path, "/var", "/etc"])


@pytest.mark.parametrize(
    "path", ["/srv/shared/../../etc", "/srv/shared/.", "/srv//shared", "srv/shared", "//srv/shared", ""]
)
def test_spellings_that_could_be_taken_for_another_are_refused(path):
    with pytest.raises(RequestRefused, match="must be absolute and without"):
        refuse_host_path(CONFIG, path, ALLOWED)
