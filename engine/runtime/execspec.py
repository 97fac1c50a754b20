"""The OCI process of a further command in a container: what the container's own process has, with another command.

Rights, limits and the filter of system calls come from the spec that the container was started with, whatever has been
asked for or allowed since: a command in a container never has more than the container (RUN-07, RUN-08). `check_process`
proves that of the final process, as `check_spec` does for containers. Source: OCI runtime-spec 1.0.2, config.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.runtime.command import environment

if TYPE_CHECKING:
    from engine.oci.image_config import ImageConfig
    from engine.runtime.execrequest import ExecRequest
    from engine.runtime.passwd import ResolvedUser
    from engine.runtime.request import ContainerRequest

Spec = dict[str, Any]  # Any: JSON of the OCI runtime spec
_INHERITED = ("rlimits", "noNewPrivileges", "oomScoreAdj", "apparmorProfile")


def exec_environment(
    image: ImageConfig, container: ContainerRequest, request: ExecRequest, user: ResolvedUser
) -> tuple[str, ...]:
    """As the container's own, then what is asked for here; HOME is this user's, TERM comes with a terminal."""
    return environment(
        image_env=image.env or (),
        env=(*container.env, *request.env),
        hostname=container.effective_hostname,
        home=user.home,
        tty=request.tty,
    )


def build_process(
    container: Spec,
    request: ExecRequest,
    *,
    user: ResolvedUser,
    arguments: tuple[str, ...],
    env: tuple[str, ...],
    working_dir: str,
) -> Spec:
    """`container` is the `process` of the container's spec."""
    bounding = list(container["capabilities"]["bounding"])
    held = bounding if user.uid == 0 else []
    process: Spec = {
        "terminal": request.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(arguments),
        "env": list(env),
        "cwd": working_dir,
        "capabilities": {"bounding": bounding, "effective": held, "permitted": held},
    }
    process |= {name: container[name] for name in _INHERITED if name in container}
    if request.tty:
        process["consoleSize"] = {"height": request.rows, "width": request.columns}
    return process
