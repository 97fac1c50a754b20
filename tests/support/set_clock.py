"""A host's clock that a test can set: a library for LD_PRELOAD that adds seconds to the real time, and to no other clock.

library = build(folder); CLOCK in the environment names a file with the seconds.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

CLOCK = "BERTH_TEST_CLOCK"
SOURCE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long ahead(void) {
    char text[32] = "";
    const char *path = getenv("BERTH_TEST_CLOCK");
    int fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t got = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    return got > 0 ? atoll(text) : 0;
}

int clock_gettime(clockid_t id, struct timespec *found) {
    int wrong = syscall(SYS_clock_gettime, id, found);
    if (!wrong && id == CLOCK_REALTIME) found->tv_sec += ahead();
    return wrong;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
"""


def build(folder: Path) -> Path:
    source, library = folder / "set_clock.c", folder / "set_clock.so"
    source.write_text(SOURCE)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library
