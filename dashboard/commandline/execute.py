"""From words to an exit code: parse, dispatch, and every error as Docker would say it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from django.db import DatabaseError

from dashboard import gateway
from dashboard.commandline import (
    admitting,
    changing,
    checking,
    copying,
    execing,
    happening,
    looking,
    networking,
    policing,
    pruning,
    rationing,
    running,
    sharing,
    showing,
    storing,
    teaming,
    transferring,
    trashing,
)
from dashboard.commandline.console import Console, Interrupted
from dashboard.core import gate
from dashboard.core.errors import DashboardError
from dashboard.gateway.terminal import DetachKeys
from dashboard.grammar import (
    UsageError,
    liferequests,
    parse,
    policyrequests,
    registryrequests,
    requests,
    split_team,
    teamrequests,
)
from dashboard.grammar.errors import PROGRAM
from dashboard.jobs.services import JobFailed
from dashboard.teams import scope

log = logging.getLogger(__name__)
INTERRUPTED = 130
OURS = 125
FAILED = 1
EXIT_CODES = {"command-not-found": 127, "command-not-executable": 126}

# Each runner takes the request class that it is listed under; one table cannot say so in types.
Runner = Callable[[Console, Any], Awaitable[int]]

RUNNERS: dict[type[requests.Request], Runner] = {
    requests.Help: showing.show_help,
    requests.VersionLine: showing.version_line,
    requests.Version: showing.version,
    requests.Info: showing.info,
    requests.Images: showing.images,
    requests.Ps: showing.ps,
    requests.Inspect: showing.inspect,
    requests.Port: showing.port,
    requests.Events: happening.events,
    requests.Stats: looking.stats,
    requests.Top: looking.top,
    requests.Diff: looking.diff,
    requests.Run: running.run,
    requests.Create: running.create,
    requests.Start: running.start,
    requests.Attach: running.attach,
    requests.Exec: execing.execute,
    requests.Logs: running.logs,
    requests.Pull: running.pull,
    requests.Stop: changing.stop,
    requests.Kill: changing.kill,
    requests.Restart: changing.restart,
    requests.Remove: changing.remove,
    requests.Rename: changing.rename,
    requests.Pause: changing.pause,
    requests.Unpause: changing.unpause,
    requests.Update: changing.update,
    liferequests.TrashList: trashing.listing,
    liferequests.TrashRestore: trashing.restore,
    liferequests.TrashRemove: trashing.remove,
    liferequests.TrashEmpty: trashing.empty,
    liferequests.LifeShow: trashing.show_rules,
    liferequests.LifeSet: trashing.change_rules,
    liferequests.Extend: trashing.extend,
    liferequests.Keep: trashing.keep,
    requests.ContainerPrune: pruning.containers_prune,
    requests.RemoveImages: changing.remove_images,
    requests.Wait: changing.wait,
    requests.VolumeCreate: storing.create,
    requests.VolumeList: storing.listing,
    requests.VolumeRemove: storing.remove,
    requests.VolumePrune: pruning.volumes_prune,
    requests.CopyIn: copying.copy_in,
    requests.CopyOut: copying.copy_out,
    requests.VolumeBackup: transferring.backup,
    requests.VolumeRestore: transferring.restore,
    requests.NetworkCreate: networking.create,
    requests.NetworkList: networking.listing,
    requests.NetworkRemove: networking.remove,
    requests.NetworkPrune: pruning.networks_prune,
    requests.NetworkConnect: networking.connect,
    requests.NetworkDisconnect: networking.disconnect,
    teamrequests.TeamList: teaming.listing,
    teamrequests.TeamCreate: teaming.create,
    teamrequests.TeamRemove: teaming.remove,
    teamrequests.TeamUse: teaming.use,
    teamrequests.TeamMembers: teaming.members,
    teamrequests.TeamAdd: teaming.add,
    teamrequests.TeamDismiss: teaming.dismiss,
    teamrequests.TeamRole: teaming.role,
    teamrequests.TeamRoles: teaming.roles,
    teamrequests.TeamRemoveRole: teaming.remove_role,
    teamrequests.TeamInvite: teaming.invite,
    teamrequests.TeamInvitations: teaming.invitations,
    teamrequests.TeamRevoke: teaming.revoke,
    teamrequests.TeamImport: teaming.take_in,
    teamrequests.TeamCan: teaming.can,
    teamrequests.TeamTransfer: teaming.transfer,
    teamrequests.TeamGroups: teaming.groups,
    teamrequests.TeamMapGroup: teaming.map_group,
    teamrequests.TeamMove: teaming.move,
    teamrequests.TeamFactor: teaming.second_factor,
    teamrequests.UserRemoveFactors: teaming.remove_factors,
    teamrequests.TokenCreate: admitting.create,
    teamrequests.TokenList: admitting.listing,
    teamrequests.TokenRemove: admitting.remove,
    policyrequests.QuotaShow: rationing.show,
    policyrequests.QuotaSet: rationing.change,
    policyrequests.QuotaUnset: rationing.remove,
    policyrequests.ImageRules: policing.rules,
    policyrequests.ImageAllow: policing.allow,
    policyrequests.ImageDisallow: policing.disallow,
    policyrequests.ImageAsk: policing.ask,
    policyrequests.ImageRequests: policing.requests,
    policyrequests.ImageDecide: policing.decide,
    policyrequests.PolicyShow: policing.show,
    policyrequests.PolicySet: policing.change,
    policyrequests.PolicyUnset: policing.reset,
    teamrequests.UserList: teaming.people,
    teamrequests.UserCreate: teaming.create_people,
    teamrequests.UserActive: teaming.set_active,
    teamrequests.UserReset: teaming.reset,
    registryrequests.Login: sharing.login,
    registryrequests.Logout: sharing.logout,
    registryrequests.RegistryList: sharing.listing,
    registryrequests.ImageShare: sharing.share,
    registryrequests.ImageUnshare: sharing.unshare,
    requests.SystemCheck: checking.check,
}


def exit_code_of(error: Exception, *, is_run: bool) -> int:
    """126 and 127 as the program's start failed; 125 for what is ours in `run` and `create`; else 1."""
    code = error.code if isinstance(error, DashboardError | gateway.EngineError) else ""
    return EXIT_CODES.get(code, OURS if is_run else FAILED)


def refuse_keys(detach_keys: str) -> None:
    """Before anything is made or started: the stream would be refused when the container runs already.

    Raises:
        DashboardError: 400.
    """
    try:
        DetachKeys(detach_keys)
    except ValueError as error:
        raise DashboardError(str(error), status=400) from error


async def execute(console: Console, words: Sequence[str]) -> int:
    """Run one command to its end. Every failure is told to the console; only the exit code comes back."""
    verb = ""
    try:
        team, words = split_team(words)
        if team or console.team:
            await console.call(scope.act_in, console.user, team or console.team)
        request = parse(words)
        verb = type(request).__name__.lower()
        refuse_keys(getattr(request, "detach_keys", ""))
        return await RUNNERS[type(request)](console, request)
    except UsageError as error:
        await console.err(error.message)
        return error.exit_code
    except Interrupted:
        return INTERRUPTED
    except (DashboardError, gateway.EngineError) as error:
        if isinstance(error, DashboardError) and (error.is_refusal or error.status == 403):
            await console.call(gate.tell_refused, console.user, error)
        return await _explain(console, error, verb)
    except DatabaseError:
        log.exception("a command failed at the database")
        await console.err("Error: Berth's database cannot be reached right now. Try again in a moment.")
    except Exception:  # a request's edge: the door stays open for the next one
        log.exception("a command failed")
        await console.err("Error: something in Berth itself went wrong. Its log has the details.")
    return OURS if verb in {"run", "create"} else FAILED


async def _explain(console: Console, error: DashboardError | gateway.EngineError, verb: str) -> int:
    is_run = verb in {"run", "create"}
    if is_run:
        await console.err(
            f"{PROGRAM}: {error}.\nSee '{PROGRAM} {verb} --help'." if _plain(error) else f"{PROGRAM}: {error}"
        )
    else:
        await console.err(f"Error: {error}")
    started = isinstance(error, JobFailed) or is_run
    return exit_code_of(error, is_run=is_run) if started else FAILED


def _plain(error: Exception) -> bool:
    """Docker's own short sentences have no full stop and get one, as Docker does."""
    return not str(error).endswith((".", "?", "!"))
