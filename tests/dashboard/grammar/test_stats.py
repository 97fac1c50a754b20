"""`stats`: Docker's columns and figures."""

from __future__ import annotations

import json

from dashboard.grammar import parse, requests
from dashboard.grammar.stats import StatsLine, Taken, render_stats

TAKEN = Taken(
    cpu_percent=150.333, memory_bytes=5 << 20, memory_limit_bytes=512 << 20, processes=3, read_bytes=4096,
    written_bytes=8_200_000, received_bytes=656, sent_bytes=0,
)  # fmt: skip
LINES = [
    StatsLine(container_id="ab" * 32, name="web", taken=TAKEN),
    StatsLine(container_id="cd" * 32, name="off", taken=Taken()),
    StatsLine(container_id="ef" * 32, name="new", taken=None),
]


def test_the_words_are_dockers():
    assert parse(["stats"]) == requests.Stats()
    words = ["container", "stats", "-a", "--no-stream", "--no-trunc", "--format", "json", "web", "db"]
    asked = requests.Stats(names=("web", "db"), all=True, no_stream=True, no_trunc=True, format="json")
    assert parse(words) == asked


def test_the_table_is_dockers():
    assert render_stats(requests.Stats(), LINES).splitlines() == [
        "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O     BLOCK I/O       PIDS",
        "abababababab   web       150.33%   5MiB / 512MiB       0.98%     656B / 0B   4.1kB / 8.2MB   3",
        "cdcdcdcdcdcd   off       0.00%     0B / 0B             0.00%     0B / 0B     0B / 0B         0",
        "efefefefefef   new       --        -- / --             --        -- / --     -- / --         --",
    ]


def test_formats():
    said = render_stats(requests.Stats(format="json", no_trunc=True), LINES[:1])
    assert list(json.loads(said)) == sorted(json.loads(said))
    assert json.loads(said)["ID"] == "ab" * 32
    assert render_stats(requests.Stats(format="{{.Name}}: {{.CPUPerc}} {{.PIDs}}"), LINES[:1]) == "web: 150.33% 3"
    assert render_stats(requests.Stats(format="table {{.Container}}\t{{.MemPerc}}"), LINES[:1]).split() == [
        "CONTAINER", "MEM", "%", "abababababab", "0.98%",
    ]  # fmt: skip
