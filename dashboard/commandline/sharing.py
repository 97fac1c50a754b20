"""Commands about registries: `login`, `logout`, `registry ls`; and `image share` and `unshare`."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dashboard.catalog import sharing
from dashboard.commandline.console import Console
from dashboard.commandline.following import finished
from dashboard.core.errors import DashboardError
from dashboard.grammar.registries import RegistryLine, render_registries
from dashboard.grammar.registryrequests import ImageShare, ImageUnshare, Login, Logout, RegistryList
from dashboard.registries import services as registries
from dashboard.registries.models import Credential
from dashboard.registries.services import Whose
from dashboard.teams import scope

_INSECURE = "WARNING! Using --password via the CLI is insecure. Use --password-stdin."


async def login(console: Console, request: Login) -> int:
    """Ask for what is missing, try it, keep it. Docker's last line says so."""
    if request.password is not None and console.kind != "cli":
        raise DashboardError(
            _("The command bar remembers what is typed, so it takes no passwords: leave -p out and you are asked."),
            status=400,
        )
    name = await console.call(registries.registry_name, request.registry)
    username = request.username or await console.ask("Username: ")
    password = request.password
    if password is not None:
        await console.err(_INSECURE)
    else:
        password = await console.ask("Password: ", is_secret=True, reads_stdin=request.reads_stdin)
    team = await console.call(scope.current, console.user)
    job = await console.call(
        registries.log_in,
        console.user,
        name,
        username=username,
        password=password,
        whose=Whose(request.whose),
        team=team,
    )
    await finished(console, job)
    await console.line("Login Succeeded")
    return 0


async def logout(console: Console, request: Logout) -> int:
    def act() -> str:
        name = registries.registry_name(request.registry)
        team = scope.current(console.user)
        registries.log_out(console.user, name, whose=Whose(request.whose), team=team)
        return f"Removing login credentials for {name}"

    await console.line(await console.call(act))
    return 0


def _whose(row: Credential) -> str:
    if row.is_sites:
        return Whose.SITE.value
    return Whose.TEAM.value if row.team_id is not None else Whose.MINE.value


async def listing(console: Console, request: RegistryList) -> int:
    def render() -> str:
        lines = [
            RegistryLine(
                registry=row.registry,
                whose=_whose(row),
                username=row.username,
                address=row.origin,
                given=row.giver.username if row.giver is not None else "",
                used=f"{row.used_at:%Y-%m-%d %H:%M}" if row.used_at is not None else "never",
            )
            for row in registries.listed(console.user, scope.current(console.user))
        ]
        return render_registries(lines, request.format)

    await console.line(await console.call(render))
    return 0


async def share(console: Console, request: ImageShare) -> int:
    image = await console.call(sharing.share, console.user, request.image, with_team=request.team)
    await console.line(image.image_id)
    return 0


async def unshare(console: Console, request: ImageUnshare) -> int:
    image = await console.call(sharing.unshare, console.user, request.image)
    await console.line(image.image_id)
    return 0
