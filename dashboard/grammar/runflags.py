"""The flags of `run` and `create`, and how they become a request."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.grammar import mounts, requests
from dashboard.grammar.flags import Flag, Values, number, string, switch
from dashboard.grammar.hostflags import ACCESS_FLAGS, processor_share
from dashboard.grammar.limitvalues import (
    read_byte_rate,
    read_capability,
    read_cpuset,
    read_oom_score,
    read_operation_rate,
    read_security,
    read_swap,
    read_ulimit,
)
from dashboard.grammar.mounts import checked, read_storage
from dashboard.grammar.netvalues import NETWORK_FLAGS
from dashboard.grammar.options import ContainerOptions
from dashboard.grammar.ports import read_exposed, read_publish
from dashboard.grammar.runvalues import (
    read_duration,
    read_group,
    read_host,
    read_label_text,
    read_pull,
    read_resolver_option,
    read_restart,
    read_search,
    read_server,
    read_userns,
)
from dashboard.grammar.spans import read_span
from dashboard.grammar.values import read_cpus, read_environment, read_size

DETACH_KEYS = string("detach-keys", text="Override the key sequence for detaching a container")


def listed(name: str, read: Callable[[str], object], text: str) -> Flag:
    return Flag(name=name, read=read, kind="list", repeats=True, help=text)


LIMIT_FLAGS = (
    listed("cap-add", read_capability, "Add Linux capabilities"),
    listed("cap-drop", read_capability, "Drop Linux capabilities"),
    number("cpu-shares", "c", "CPU shares (relative weight)"),
    Flag(name="cpuset-cpus", read=read_cpuset, help="CPUs in which to allow execution (0-3, 0,1)"),
    listed("device-read-bps", read_byte_rate, "Limit read rate (bytes per second) from a device"),
    listed("device-read-iops", read_operation_rate, "Limit read rate (IO per second) from a device"),
    listed("device-write-bps", read_byte_rate, "Limit write rate (bytes per second) to a device"),
    listed("device-write-iops", read_operation_rate, "Limit write rate (IO per second) to a device"),
    Flag(name="memory-reservation", read=read_size, kind="bytes", help="Memory soft limit"),
    Flag(name="memory-swap", read=read_swap, kind="bytes", help="Memory and swap together (the memory limit: no swap)"),
    Flag(name="oom-score-adj", read=read_oom_score, kind="int", help="Tune host's OOM preferences (1 to 1000)"),
    listed("security-opt", read_security, "Security Options"),
    listed("ulimit", read_ulimit, "Ulimit options"),
)
HEALTH_FLAGS = (
    string("health-cmd", text="Command to run to check health"),
    Flag(name="health-interval", read=read_duration, kind="duration", help="Time between running the check (ms|s|m|h)"),
    number("health-retries", text="Consecutive failures needed to report unhealthy"),
    Flag(
        name="health-start-period",
        read=read_duration,
        kind="duration",
        help="Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)",
    ),
    Flag(
        name="health-timeout",
        read=read_duration,
        kind="duration",
        help="Maximum time to allow one check to run (ms|s|m|h)",
    ),
    switch("no-healthcheck", text="Disable any container-specified HEALTHCHECK"),
)
CONTAINER_FLAGS = (
    *NETWORK_FLAGS,
    *ACCESS_FLAGS,
    *HEALTH_FLAGS,
    *LIMIT_FLAGS,
    listed("add-host", read_host, "Add a custom host-to-IP mapping (host:ip)"),
    string("cidfile", text="Write the container ID to the file"),
    listed("dns", read_server, "Set custom DNS servers"),
    Flag(name="dns-opt", read=read_resolver_option, repeats=True, is_hidden=True),
    listed("dns-option", read_resolver_option, "Set DNS options"),
    listed("dns-search", read_search, "Set custom DNS search domains"),
    string("domainname", text="Container NIS domain name"),
    listed("env-file", str, "Read in a file of environment variables"),
    listed("group-add", read_group, "Add additional groups to join"),
    switch("init", text="Run an init inside the container that forwards signals and reaps processes"),
    Flag(name="label", short="l", read=read_label_text, kind="list", repeats=True, help="Set meta data on a container"),
    listed("label-file", str, "Read in a line delimited file of labels"),
    switch("read-only", text="Mount the container's root filesystem as read only"),
    Flag(name="restart", read=read_restart, help="Restart policy to apply when a container exits"),
    Flag(name="shm-size", read=read_size, kind="bytes", help="Size of /dev/shm"),
    string("stop-signal", text="Signal to stop the container"),
    number("stop-timeout", text="Timeout (in seconds) to stop a container"),
    Flag(name="expire", read=read_span, kind="time", help="Stop it so long after its start (2h; Berth's own)"),
    Flag(
        name="idle-stop", read=read_span, kind="time", help="Stop it when nobody used it for so long (30m; Berth's own)"
    ),
    switch("keep", text="Do not stop it when nobody uses it (Berth's own)"),
    string("entrypoint", text="Overwrite the default ENTRYPOINT of the image"),
    Flag(name="cpus", read=read_cpus, kind="decimal", help="Number of CPUs (0: the server's default)"),
    Flag(name="env", short="e", read=read_environment, kind="list", repeats=True, help="Set environment variables"),
    Flag(name="expose", read=read_exposed, kind="list", repeats=True, help="Expose a port or a range of ports"),
    string("hostname", "h", "Container host name"),
    switch("interactive", "i", "Keep STDIN open even if not attached"),
    Flag(name="memory", short="m", read=read_size, kind="bytes", help="Memory limit (0: the server's default)"),
    string("name", text="Assign a name to the container"),
    number("pids-limit", text="Tune container pids limit (0 or -1: the server's default, as there always is a limit)"),
    string("platform", text="Set platform if server is multi-platform capable"),
    Flag(
        name="publish",
        short="p",
        read=read_publish,
        kind="list",
        repeats=True,
        help="Publish a container's port(s) to the host",
    ),
    switch("publish-all", "P", "Publish all exposed ports to random ports"),
    Flag(name="pull", read=read_pull, help='Pull image before running ("always", "missing", "never")'),
    switch("quiet", "q", "Suppress the pull output"),
    switch("rm", text="Automatically remove the container when it exits"),
    switch("tty", "t", "Allocate a pseudo-TTY"),
    Flag(name="storage-opt", read=read_storage, kind="list", help="Storage driver options (size=<bytes>)"),
    Flag(name="tmpfs", read=checked(mounts.tmpfs), kind="list", repeats=True, help="Mount a tmpfs directory"),
    Flag(name="mount", read=checked(mounts.mount), kind="mount", repeats=True, help="Attach a filesystem mount"),
    Flag(name="volume", short="v", read=checked(mounts.volume), kind="list", repeats=True, help="Bind mount a volume"),
    string("user", "u", "Username or UID (format: <name|uid>[:<group|gid>])"),
    Flag(name="userns", read=read_userns, help="User namespace to use"),
    string("workdir", "w", "Working directory inside the container"),
)
RUN_FLAGS = (
    *CONTAINER_FLAGS,
    switch("detach", "d", "Run container in background and print container ID"),
    DETACH_KEYS,
    switch("sig-proxy", text="Proxy received signals to the process (default true)"),
)


def container_options(values: Values, words: tuple[str, ...]) -> ContainerOptions:
    return ContainerOptions(
        image=words[0],
        command=words[1:],
        name=values.get("name", ""),
        env=values.get("env", ()),
        workdir=values.get("workdir", ""),
        user=values.get("user", ""),
        hostname=values.get("hostname", ""),
        entrypoint=values.get("entrypoint"),
        interactive=values.get("interactive", False),
        tty=values.get("tty", False),
        detach=values.get("detach", False),
        auto_remove=values.get("rm", False),
        memory_bytes=values.get("memory"),
        pids_limit=values.get("pids_limit"),
        platform=values.get("platform", ""),
        userns=values.get("userns", ""),
        publish=values.get("publish", ()),
        publish_all=values.get("publish_all", False),
        expose=values.get("expose", ()),
        volumes=values.get("volume", ()),
        mounts=values.get("mount", ()),
        tmpfs=values.get("tmpfs", ()),
        storage_bytes=values.get("storage_opt"),
        networks=(*values.get("network", ()), *values.get("net", ())),
        network_aliases=(*values.get("network_alias", ()), *values.get("net_alias", ())),
        ip=values.get("ip", ""),
        labels=values.get("label", ()),
        hosts=values.get("add_host", ()),
        dns=values.get("dns", ()),
        dns_search=values.get("dns_search", ()),
        dns_options=(*values.get("dns_option", ()), *values.get("dns_opt", ())),
        domainname=values.get("domainname", ""),
        groups=values.get("group_add", ()),
        init=values.get("init", False),
        read_only=values.get("read_only", False),
        shm_bytes=values.get("shm_size"),
        health_cmd=values.get("health_cmd", ""),
        health_interval_ms=values.get("health_interval"),
        health_timeout_ms=values.get("health_timeout"),
        health_start_period_ms=values.get("health_start_period"),
        health_retries=values.get("health_retries"),
        no_healthcheck=values.get("no_healthcheck", False),
        restart=values.get("restart", ""),
        stop_signal=values.get("stop_signal", ""),
        stop_timeout_s=values.get("stop_timeout"),
        **_limits(values),
        **_access(values),
        **_life(values),
    )


def _life(values: Values) -> Values:
    return {
        "expire_s": values.get("expire"),
        "idle_stop_s": values.get("idle_stop"),
        "keep": values.get("keep", False),
    }


def _access(values: Values) -> Values:
    return {
        "privileged": values.get("privileged", False),
        "devices": values.get("device", ()),
        "sysctls": values.get("sysctl", ()),
        **{name: values.get(name, "") for name in ("pid", "ipc", "uts", "cpuset_mems")},
    }


def _limits(values: Values) -> Values:
    lists = (
        *("cap_add", "cap_drop", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"),
        *("security_opt", "ulimit"),
    )
    return {
        **processor_share(values),
        "cpu_shares": values.get("cpu_shares"),
        "cpuset_cpus": values.get("cpuset_cpus", ""),
        "memory_swap_bytes": values.get("memory_swap"),
        "memory_reservation_bytes": values.get("memory_reservation"),
        "oom_score": values.get("oom_score_adj"),
        **{name: values.get(name, ()) for name in lists},
    }


def client_files(values: Values) -> requests.ClientFiles:
    return requests.ClientFiles(
        env=values.get("env_file", ()), labels=values.get("label_file", ()), cid=values.get("cidfile", "")
    )


def build_run(values: Values, words: tuple[str, ...]) -> requests.Run:
    return requests.Run(
        options=container_options(values, words),
        detach_keys=values.get("detach_keys", ""),
        pull=values.get("pull", "missing"),
        quiet=values.get("quiet", False),
        files=client_files(values),
        sig_proxy=values.get("sig_proxy", True),
    )


def build_create(values: Values, words: tuple[str, ...]) -> requests.Create:
    return requests.Create(
        options=container_options(values, words),
        pull=values.get("pull", "missing"),
        quiet=values.get("quiet", False),
        files=client_files(values),
    )
