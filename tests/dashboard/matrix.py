"""Who gets what: a row for every route, WebSocket address and command. `test_matrix.py` fails on anything without one.

Statuses are (anonymous, administrator). `IN` stands for the way to the sign-in page. A later issue adds roles as columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dashboard.core.gate import Permission
from dashboard.grammar import liferequests, policyrequests, registryrequests, requests, teamrequests

IN = 302
HEX = "0" * 64
KEY = "0" * 32


@dataclass(frozen=True)
class Route:
    """`methods`: the only ones that it answers; all others are 405 for an administrator. `data` is what is posted."""

    methods: dict[str, tuple[int, int]]
    args: tuple[object, ...] = ()
    data: dict[str, str] = field(default_factory=dict)
    is_public: bool = False


def read(admin: int = 200, *args: object) -> Route:
    return Route({"GET": (IN, admin)}, args)


def write(admin: int, *args: object, **data: str) -> Route:
    return Route({"POST": (IN, admin)}, args, data)


ROUTES: dict[str, Route] = {
    "healthz": Route({"GET": (503, 503)}, is_public=True),  # no workers in a unit test
    "account_login": Route({"GET": (200, 302), "POST": (200, 302)}, is_public=True),
    "account_logout": Route({"GET": (302, 200), "POST": (302, 302)}, is_public=True),
    "account_change_password": Route({"GET": (IN, 200), "POST": (IN, 422)}),
    "setup": Route({"GET": (404, 404), "POST": (404, 404)}, ("no-such-link",), is_public=True),
    "team": read(),
    "team-use": write(302, team="main"),
    "sso": Route({"POST": (404, 404)}, is_public=True),
    "openid_connect_callback": Route({"GET": (404, 404)}, is_public=True),
    "team-group": write(400, name="", role="viewer"),
    "team-group-remove": write(404, name="nobody"),
    "team-factor": write(302, required="0"),
    "team-member": write(404, person="nobody", role="viewer"),
    "team-member-remove": write(404, person="nobody"),
    "team-person": read(404, "nobody"),
    "team-invitations": Route({"GET": (IN, 200), "POST": (IN, 400)}, data={"role": "viewer", "uses": "0", "days": "7"}),
    "team-invitation-revoke": write(404, 999_999),
    "team-take-in": write(400, names="", role="viewer"),
    "team-images": read(),
    "team-registries": read(),
    "registry-login": write(400, server="", username="", password="", whose="me"),
    "registry-logout": write(404, server="ghcr.io", whose="me"),
    "team-images-listed": write(302, listed="0"),
    "team-images-allow": write(400, image=""),
    "team-images-remove": write(404, 999_999),
    "team-images-ask": write(400, image="ubuntu:14.04", reason=""),
    "team-images-decide": write(404, 999_999, how="tag"),
    "team-policy": Route({"GET": (IN, 200), "POST": (IN, 302)}, data={"reset": "1"}),
    "team-quotas": Route({"GET": (IN, 200), "POST": (IN, 302)}, data={"containers": "5"}),
    "team-roles": Route({"GET": (IN, 200), "POST": (IN, 400)}, data={"name": "not a name"}),
    "team-role-remove": write(404, "no-such-role"),
    "join": Route({"GET": (404, 404), "POST": (404, 404)}, ("no-such-link",), is_public=True),
    "set-password": Route({"GET": (404, 404), "POST": (404, 404)}, ("no-such-link",), is_public=True),
    "sign-ins-end": write(302),
    "sign-in-end": write(404, 999_999),
    "second-factor": read(),
    "factor-app": Route({"POST": (IN, 422)}, data={"password": "wrong", "code": "1"}),
    "factor-passkey": write(409, password="wrong", credential="{}"),
    "factor-codes": Route({"POST": (IN, 409)}, data={"password": "wrong"}),  # who has no password needs none
    "factor-remove": Route({"POST": (IN, 404)}, (999_999,), data={"password": "wrong"}),
    "mfa_authenticate": Route({"GET": (302, 302), "POST": (302, 302)}, is_public=True),
    "mfa_login_webauthn": Route({"GET": (302, 302), "POST": (302, 302)}, is_public=True),
    "token-create": Route({"POST": (IN, 400)}, data={"name": "", "days": "30"}),
    "token-revoke": write(404, 999_999),
    "preferences": Route({"GET": (IN, 200), "POST": (IN, 302)}, data={"language": "ko", "theme": ""}),
    "home": read(),
    "activity": read(),
    "audit": read(),
    "job": read(404, 999_999),
    "job-cancel": write(404, 999_999),
    "system": read(),
    "system-check": write(302),
    "site": read(),
    "site-team-create": write(400, slug="Not A Name"),
    "site-team-remove": write(404, "no-such-team"),
    "site-person-create": write(400, name="not a name"),
    "site-person": write(404, "nobody", how="close"),
    "catalog": read(),
    "image": read(404, HEX),
    "image-remove": write(404, HEX),
    "image-share": write(404, HEX, how="everybody"),
    "images-selected": write(400),
    "pull": write(400, reference="Not A Name"),
    "pull-again": write(404, 999_999),
    "pull-dismiss": write(404, 999_999),
    "containers": read(),
    "run": Route({"GET": (IN, 200), "POST": (IN, 422)}),
    "run-line": write(200, image="ubuntu:14.04"),
    "containers-selected": write(400, action="stop"),
    "container": read(404, HEX),
    "container-start": write(404, HEX),
    "container-stop": write(404, HEX),
    "container-kill": write(404, HEX),
    "container-restart": write(404, HEX),
    "container-remove": write(404, HEX),
    "container-pause": write(404, HEX),
    "container-unpause": write(404, HEX),
    "container-rename": write(404, HEX),
    "container-update": write(404, HEX),
    "container-move": write(404, HEX, team="ours"),
    "container-extend": write(404, HEX),
    "container-keep": write(404, HEX),
    "team-life": Route(
        {"GET": (IN, 200), "POST": (IN, 302)}, data={"warning_s": "15m", "extension_s": "1h", "extensions": "3"}
    ),
    "trash": read(),
    "trash-undo": write(400),
    "trash-empty": write(204),
    "trash-restore": write(404, HEX),
    "trash-remove": write(404, HEX),
    "volumes": read(),
    "volume-create": Route({"GET": (IN, 404), "POST": (IN, 400)}, data={"name": "not a name"}),
    "volume-remove": write(404, "no-such-volume"),
    "volume": read(404, "no-such-volume"),
    "volume-backup": write(404, "no-such-volume"),
    "volume-restore": write(404, "no-such-volume"),
    "volume-restore-start": write(404, "no-such-volume", KEY),
    "volume-transfer": read(404, "no-such-volume", KEY),
    "transfer": read(404, KEY),
    "transfer-cancel": write(404, KEY),
    "networks": read(),
    "network": read(404, HEX),
    "network-create": write(400, name="not a name"),
    "network-remove": write(404, HEX),
    "network-connect": write(404, HEX, container="web"),
    "network-disconnect": write(404, HEX, container="web"),
    "container-copy-out": write(404, HEX, path="/etc"),
    "container-copy-in": write(404, HEX, path="/etc"),
    "container-copy": read(404, HEX, KEY),
    "container-copy-start": write(404, HEX, KEY),
    "container-shell": write(404, HEX),
    "exec-end": write(404, HEX),
    "terminals": read(),
    "terminal": read(404, HEX),
    "exec-terminal": read(404, HEX),
}

# (address, close code for nobody, for an administrator: None stays open)
WEBSOCKETS: dict[str, tuple[str, int, int | None]] = {
    "LiveConsumer": ("/ws/live", 4401, None),
    "CommandConsumer": ("/ws/command", 4401, None),
    "TerminalConsumer": (f"/ws/terminals/{HEX}", 4401, 4404),
    "ExecConsumer": (f"/ws/execs/{HEX}", 4401, 4404),
    "TransferConsumer": (f"/ws/transfers/{KEY}", 4401, 4404),
}

# What each command needs beside the door's own right; None: nothing that is kept from anybody who may use the door.
# The words name things that exist in the test.
COMMANDS: dict[type, tuple[Permission | None, list[str]]] = {
    requests.Help: (None, ["--help"]),
    requests.VersionLine: (None, ["-v"]),
    requests.Version: (None, ["version"]),
    requests.Info: (Permission.CONTAINER_VIEW, ["info"]),
    requests.Run: (Permission.CONTAINER_RUN, ["run", "ubuntu:14.04"]),
    requests.Create: (Permission.CONTAINER_RUN, ["create", "ubuntu:14.04"]),
    requests.Start: (Permission.CONTAINER_OPERATE, ["start", "brave_lovelace"]),
    requests.Attach: (Permission.TERMINAL_OPEN, ["attach", "calm_fulton"]),
    requests.Exec: (Permission.CONTAINER_EXEC, ["exec", "calm_fulton", "ls"]),
    requests.Ps: (Permission.CONTAINER_VIEW, ["ps", "-a"]),
    requests.Logs: (Permission.TERMINAL_OPEN, ["logs", "calm_fulton"]),
    requests.Events: (Permission.CONTAINER_VIEW, ["events", "--since", "1h", "--until", "1s"]),
    requests.Stats: (Permission.CONTAINER_VIEW, ["stats", "--no-stream"]),
    requests.Top: (Permission.CONTAINER_VIEW, ["top", "calm_fulton"]),
    requests.Diff: (Permission.CONTAINER_VIEW, ["diff", "brave_lovelace"]),
    requests.Port: (Permission.CONTAINER_VIEW, ["port", "calm_fulton"]),
    requests.Stop: (Permission.CONTAINER_OPERATE, ["stop", "calm_fulton"]),
    requests.Kill: (Permission.CONTAINER_OPERATE, ["kill", "calm_fulton"]),
    requests.Restart: (Permission.CONTAINER_OPERATE, ["restart", "calm_fulton"]),
    requests.Remove: (Permission.CONTAINER_REMOVE, ["rm", "brave_lovelace"]),
    requests.Rename: (Permission.CONTAINER_OPERATE, ["rename", "calm_fulton", "calm_tern"]),
    requests.Pause: (Permission.CONTAINER_OPERATE, ["pause", "calm_fulton"]),
    requests.Unpause: (Permission.CONTAINER_OPERATE, ["unpause", "calm_fulton"]),
    requests.Update: (Permission.CONTAINER_OPERATE, ["update", "-m", "64m", "calm_fulton"]),
    requests.ContainerPrune: (Permission.CONTAINER_REMOVE, ["container", "prune", "--force"]),
    liferequests.TrashList: (Permission.CONTAINER_VIEW, ["trash", "ls"]),
    liferequests.TrashRestore: (Permission.CONTAINER_REMOVE, ["trash", "restore", "old_harbour"]),
    liferequests.TrashRemove: (Permission.CONTAINER_REMOVE, ["trash", "rm", "old_harbour"]),
    liferequests.TrashEmpty: (Permission.CONTAINER_REMOVE, ["trash", "empty", "--force"]),
    liferequests.LifeShow: (Permission.TEAM_VIEW, ["life", "show"]),
    liferequests.LifeSet: (Permission.TEAM_MANAGE, ["life", "set", "--trash", "24h"]),
    liferequests.Extend: (Permission.CONTAINER_OPERATE, ["container", "extend", "calm_fulton", "1h"]),
    liferequests.Keep: (Permission.CONTAINER_KEEP, ["container", "keep", "calm_fulton"]),
    requests.Wait: (Permission.CONTAINER_VIEW, ["wait", "brave_lovelace"]),
    requests.Images: (Permission.IMAGE_VIEW, ["images"]),
    requests.Pull: (Permission.IMAGE_PULL, ["pull", "centos:7"]),
    requests.RemoveImages: (Permission.IMAGE_REMOVE, ["rmi", "centos:7"]),
    requests.VolumeCreate: (Permission.VOLUME_CREATE, ["volume", "create", "data"]),
    requests.VolumeList: (Permission.VOLUME_VIEW, ["volume", "ls"]),
    requests.VolumeRemove: (Permission.VOLUME_REMOVE, ["volume", "rm", "quiet_harbour"]),
    requests.VolumePrune: (Permission.VOLUME_REMOVE, ["volume", "prune", "--force"]),
    requests.CopyIn: (Permission.CONTAINER_COPY, ["cp", "notes", "calm_fulton:/notes"]),
    requests.CopyOut: (Permission.CONTAINER_COPY, ["cp", "calm_fulton:/notes", "notes"]),
    requests.VolumeBackup: (Permission.VOLUME_BACKUP, ["volume", "backup", "quiet_harbour"]),
    requests.VolumeRestore: (Permission.VOLUME_RESTORE, ["volume", "restore", "quiet_harbour"]),
    requests.NetworkCreate: (Permission.NETWORK_CREATE, ["network", "create", "front"]),
    requests.NetworkList: (Permission.NETWORK_VIEW, ["network", "ls"]),
    requests.NetworkRemove: (Permission.NETWORK_REMOVE, ["network", "rm", "quiet_lagoon"]),
    requests.NetworkPrune: (Permission.NETWORK_REMOVE, ["network", "prune", "--force"]),
    requests.NetworkConnect: (Permission.CONTAINER_OPERATE, ["network", "connect", "quiet_lagoon", "calm_fulton"]),
    requests.NetworkDisconnect: (
        Permission.CONTAINER_OPERATE,
        ["network", "disconnect", "quiet_lagoon", "calm_fulton"],
    ),
    requests.SystemCheck: (Permission.SITE_ADMIN, ["system", "check"]),
    requests.Inspect: (Permission.CONTAINER_VIEW, ["inspect", "calm_fulton"]),
    teamrequests.TeamList: (None, ["team", "ls"]),
    teamrequests.TeamUse: (None, ["team", "use", "main"]),
    teamrequests.TeamMembers: (Permission.TEAM_VIEW, ["team", "members"]),
    teamrequests.TeamAdd: (Permission.TEAM_MANAGE, ["team", "add", "haeun"]),
    teamrequests.TeamDismiss: (Permission.TEAM_MANAGE, ["team", "remove", "minsu"]),
    teamrequests.TeamRole: (Permission.TEAM_MANAGE, ["team", "role", "watcher", "--allow", "image.view"]),
    teamrequests.TeamRoles: (Permission.TEAM_VIEW, ["team", "roles"]),
    teamrequests.TeamRemoveRole: (Permission.TEAM_MANAGE, ["team", "remove-role", "unused"]),
    teamrequests.TeamInvite: (Permission.TEAM_MANAGE, ["team", "invite", "--uses", "30"]),
    teamrequests.TeamInvitations: (Permission.TEAM_MANAGE, ["team", "invitations"]),
    teamrequests.TeamRevoke: (Permission.TEAM_MANAGE, ["team", "revoke", "1"]),
    teamrequests.TeamImport: (Permission.TEAM_MANAGE, ["team", "import", "haeun", "newcomer"]),
    teamrequests.TeamCan: (Permission.TEAM_VIEW, ["team", "can", "haeun"]),
    teamrequests.TeamTransfer: (Permission.TEAM_MANAGE, ["team", "transfer", "minsu", "haeun"]),
    teamrequests.TeamFactor: (Permission.TEAM_MANAGE, ["team", "second-factor", "optional"]),
    teamrequests.UserRemoveFactors: (Permission.SITE_ADMIN, ["user", "remove-factors", "minsu"]),
    teamrequests.TeamGroups: (Permission.TEAM_VIEW, ["team", "groups"]),
    teamrequests.TeamMapGroup: (Permission.SITE_ADMIN, ["team", "map-group", "students", "operator"]),
    teamrequests.TeamMove: (Permission.CONTAINER_REMOVE, ["team", "move", "--to", "spare", "calm_fulton"]),
    teamrequests.TeamCreate: (Permission.SITE_ADMIN, ["team", "create", "class-1"]),
    teamrequests.TeamRemove: (Permission.SITE_ADMIN, ["team", "rm", "spare"]),
    teamrequests.TokenCreate: (Permission.OWN_ACCOUNT, ["token", "create", "laptop"]),
    teamrequests.TokenList: (Permission.OWN_ACCOUNT, ["token", "ls"]),
    teamrequests.TokenRemove: (Permission.OWN_ACCOUNT, ["token", "rm", "1"]),
    policyrequests.QuotaShow: (Permission.TEAM_VIEW, ["quota", "show"]),
    policyrequests.QuotaSet: (Permission.SITE_ADMIN, ["quota", "set", "--team", "main", "--containers", "3"]),
    policyrequests.QuotaUnset: (Permission.SITE_ADMIN, ["quota", "unset", "--everybody"]),
    policyrequests.ImageRules: (Permission.TEAM_VIEW, ["policy", "images"]),
    policyrequests.ImageAllow: (Permission.TEAM_MANAGE, ["policy", "allow", "ubuntu"]),
    policyrequests.ImageDisallow: (Permission.TEAM_MANAGE, ["policy", "disallow", "1"]),
    policyrequests.ImageAsk: (Permission.IMAGE_PULL, ["policy", "ask", "--reason", "x", "ubuntu"]),
    policyrequests.ImageRequests: (Permission.TEAM_VIEW, ["policy", "requests"]),
    policyrequests.ImageDecide: (Permission.TEAM_MANAGE, ["policy", "approve", "1"]),
    registryrequests.Login: (Permission.IMAGE_PULL, ["login", "-u", "minsu", "-p", "x", "no.such.example"]),
    registryrequests.Logout: (Permission.IMAGE_PULL, ["logout", "ghcr.io"]),
    registryrequests.RegistryList: (Permission.IMAGE_PULL, ["registry", "ls"]),
    registryrequests.ImageShare: (Permission.IMAGE_SHARE, ["image", "share", "centos:7"]),
    registryrequests.ImageUnshare: (Permission.IMAGE_SHARE, ["image", "unshare", "centos:7"]),
    policyrequests.PolicyShow: (Permission.TEAM_VIEW, ["policy", "show"]),
    policyrequests.PolicySet: (Permission.TEAM_MANAGE, ["policy", "set", "--labels", "owner"]),
    policyrequests.PolicyUnset: (Permission.TEAM_MANAGE, ["policy", "unset"]),
    teamrequests.UserList: (Permission.SITE_ADMIN, ["user", "ls"]),
    teamrequests.UserCreate: (Permission.SITE_ADMIN, ["user", "create", "jiho"]),
    teamrequests.UserActive: (Permission.SITE_ADMIN, ["user", "deactivate", "minsu"]),
    teamrequests.UserReset: (Permission.SITE_ADMIN, ["user", "reset", "minsu"]),
}

# Route × role × team, on things that are there and are one team's. A person of another team gets for each of them what
# everybody gets for a thing that is not there, so there is no column for that: `test_a_thing_of_another_team_…` compares.
ROLES = ("viewer", "operator", "maintainer", "admin")
_ALL, _OPERATORS, _MAINTAINERS, _ADMINS = ROLES, ROLES[1:], ROLES[2:], ROLES[3:]
# What of a team's own each route is about, and the roles that it does not answer with 403.
OBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "image": ("image", _ALL),
    "image-remove": ("image", _MAINTAINERS),
    "image-share": ("image", _MAINTAINERS),
    "job": ("job", _ALL),
    "job-cancel": ("job", _OPERATORS),
    "pull-again": ("job", _OPERATORS),
    "pull-dismiss": ("job", _ALL),
    "container": ("container", _ALL),
    "container-start": ("container", _OPERATORS),
    "container-stop": ("container", _OPERATORS),
    "container-kill": ("container", _OPERATORS),
    "container-restart": ("container", _OPERATORS),
    "container-remove": ("container", _OPERATORS),
    "container-pause": ("container", _OPERATORS),
    "container-unpause": ("container", _OPERATORS),
    "container-rename": ("container", _OPERATORS),
    "container-move": ("container", _OPERATORS),
    "container-update": ("container", _OPERATORS),
    "container-shell": ("container", _OPERATORS),
    "container-extend": ("container", _OPERATORS),
    "container-keep": ("container", _MAINTAINERS),
    "exec-end": ("exec", _OPERATORS),
    "trash-restore": ("trashed", _OPERATORS),
    "trash-remove": ("trashed", _OPERATORS),
    "container-copy-out": ("container", _OPERATORS),
    "container-copy-in": ("container", _OPERATORS),
    "terminal": ("container", _ALL),
    "exec-terminal": ("exec", _ALL),
    "volume": ("volume", _ALL),
    "volume-remove": ("volume", _MAINTAINERS),
    "volume-backup": ("volume", _MAINTAINERS),
    "volume-restore": ("volume", _MAINTAINERS),
    "network": ("network", _ALL),
    "network-remove": ("network", _MAINTAINERS),
    "network-connect": ("network", _OPERATORS),
    "network-disconnect": ("network", _OPERATORS),
    "team-person": ("member", _ALL),
    "team-invitation-revoke": ("invitation", _ADMINS),
    "team-role-remove": ("role", _ADMINS),
    "team-images-remove": ("rule", _ADMINS),
    "team-images-decide": ("request", _ADMINS),
}
# Named by a thing and a transfer, which is one person's own: nobody else's answers, in whatever team.
OWN_ONLY = frozenset(
    {"volume-restore-start", "volume-transfer", "transfer", "transfer-cancel", "container-copy", "container-copy-start"}
)
# Pages of one's own, and of the site's administrators.
EVERYBODYS = frozenset(
    {"site-team-remove", "site-person", "setup", "set-password", "join", "token-revoke", "sign-in-end", "factor-remove"}
)
