"""`to_line` and `parse` are inverse; JSON keeps every field."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.grammar import ContainerOptions, UsageError, parse, requests, split_line, to_line
from tests.dashboard.grammar.test_ports import exposed, specs
from tests.support.examples import examples

words = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
some_words = words.filter(bool)
environment = some_words.filter(lambda text: not text.startswith("="))


def some_of(*items: str):
    return st.lists(st.sampled_from(items), max_size=2).map(tuple)


options = st.builds(
    ContainerOptions,
    image=some_words,
    command=st.lists(words, max_size=4).map(tuple),
    name=words,
    env=st.lists(environment, max_size=3).map(tuple),
    workdir=words,
    user=words,
    hostname=words,
    entrypoint=st.none() | words,
    interactive=st.booleans(),
    tty=st.booleans(),
    detach=st.booleans(),
    auto_remove=st.booleans(),
    memory_bytes=st.none() | st.integers(0, 2**50),
    nano_cpus=st.none() | st.integers(0, 10**12),
    pids_limit=st.none() | st.integers(-1, 10**6),
    platform=words,
    userns=st.sampled_from(["", "host"]),
    publish=st.lists(specs.map(str), max_size=3).map(tuple),
    publish_all=st.booleans(),
    expose=st.lists(exposed, max_size=2).map(tuple),
    volumes=some_of("/data", "data:/data", "d4.x:/a b/c:ro,nocopy", "/srv/x:/x"),
    mounts=some_of("type=volume,source=data,target=/x", "dst=/y,ro", '"target=/a,b",type=tmpfs,tmpfs-size=1m'),
    tmpfs=some_of("/run", "/tmp:size=64m,mode=1770,exec"),
    storage_bytes=st.none() | st.integers(0, 2**50),
    networks=some_of("front", "name=back,alias=db,alias=x_1,ip=10.1.2.3", "bridge", "none"),
    network_aliases=some_of("web", "www.example"),
    ip=st.sampled_from(["", "10.200.3.4"]),
    labels=some_of("a=b", "com.example.x=", "k=v=w"),
    hosts=some_of("db:10.0.0.1", "a.b:::1", "gate:host-gateway"),
    dns=some_of("9.9.9.9", "127.0.0.1"),
    dns_search=some_of("example.com", "."),
    dns_options=some_of("ndots:2", "rotate"),
    domainname=words,
    groups=some_of("audio", "1234"),
    init=st.booleans(),
    read_only=st.booleans(),
    shm_bytes=st.none() | st.integers(0, 2**40),
    health_cmd=words,
    health_interval_ms=st.none() | st.integers(0, 6 * 10**8),
    health_timeout_ms=st.none() | st.integers(0, 6 * 10**8),
    health_start_period_ms=st.none() | st.integers(0, 6 * 10**8),
    health_retries=st.none() | st.integers(-1, 99),
    no_healthcheck=st.booleans(),
    restart=st.sampled_from(["", "always", "unless-stopped", "on-failure", "on-failure:3"]),
    stop_signal=words,
    stop_timeout_s=st.none() | st.integers(-1, 10**6),
    cap_add=some_of("CAP_NET_RAW", "ALL"),
    cap_drop=some_of("CAP_CHOWN", "ALL"),
    security_opt=some_of("no-new-privileges", "no-new-privileges=false", "seccomp=unconfined", "seccomp=builtin"),
    ulimit=some_of("nofile=1:2", "core=-1:-1", "nproc=5:5"),
    cpu_shares=st.none() | st.integers(-5, 10**6),
    cpuset_cpus=st.sampled_from(["", "0", "0-2,5"]),
    memory_swap_bytes=st.none() | st.just(-1) | st.integers(0, 2**50),
    memory_reservation_bytes=st.none() | st.integers(0, 2**50),
    oom_score=st.none() | st.integers(-1000, 1000),
    device_read_bps=some_of("/dev/sda:1m", "/dev/mapper/a:b:5b"),
    device_write_bps=some_of("/dev/sda:1m"),
    device_read_iops=some_of("/dev/sda:100"),
    device_write_iops=some_of("/dev/sda:7"),
    privileged=st.booleans(),
    devices=some_of("/dev/fuse:/dev/fuse:rwm", "/dev/a:/dev/b:r"),
    sysctls=some_of("net.core.somaxconn=9", "kernel.sem=1 2 3 4"),
    pid=st.sampled_from(["", "host"]),
    ipc=st.sampled_from(["", "host"]),
    uts=st.sampled_from(["", "host"]),
    cpuset_mems=st.sampled_from(["", "0", "0-1"]),
)


@settings(max_examples=examples(150))
@given(options)
def test_the_line_under_the_form_reads_back_as_the_form(value):
    assert parse(split_line(to_line(value))) == requests.Run(options=value)


@settings(max_examples=examples(50))
@given(options)
def test_json_keeps_every_field(value):
    assert ContainerOptions.from_json(value.to_json()) == value


@settings(max_examples=examples(150))
@given(st.text(max_size=60))
def test_no_line_makes_the_parser_fall_over(text):
    with suppress(UsageError):
        parse(split_line(text))


def test_the_line_is_the_one_of_the_primer():
    assert (
        to_line(ContainerOptions(image="ubuntu:14.04", interactive=True, tty=True)) == "docker run -i -t ubuntu:14.04"
    )


def test_unknown_fields_of_a_newer_version_are_dropped():
    assert ContainerOptions.from_json({"image": "x", "shiny": 1}) == ContainerOptions(image="x")
