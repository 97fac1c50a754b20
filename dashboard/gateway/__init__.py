"""The only importer of the engine; maps its errors.

Other apps write `from dashboard import gateway` and `gateway.resolve(…)`. Names are looked up when they are first used,
so a web process never loads what only workers need (the HTTP library, netlink). `dashboard.gateway.terminal` has the
engine's terminal parts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dashboard.gateway.config import engine as engine
    from dashboard.gateway.config import engine_config as engine_config
    from dashboard.gateway.config import has_route6 as has_route6
    from dashboard.gateway.config import refuse_host_path as refuse_host_path
    from dashboard.gateway.config import refuse_no_ipv6 as refuse_no_ipv6
    from dashboard.gateway.config import refuse_subnet as refuse_subnet
    from dashboard.gateway.config import refuse_wishes as refuse_wishes
    from dashboard.gateway.config import reset_engine as reset_engine
    from dashboard.gateway.config import routed_networks as routed_networks
    from dashboard.gateway.registries import check_login as check_login
    from dashboard.gateway.registries import registry_origin as registry_origin
    from dashboard.gateway.status import exit_code_of as exit_code_of
    from dashboard.gateway.status import status_of as status_of
    from dashboard.gateway.store import abandoned_incoming as abandoned_incoming
    from dashboard.gateway.store import abandoned_ingest as abandoned_ingest
    from dashboard.gateway.store import discard_incoming as discard_incoming
    from dashboard.gateway.store import discard_ingest as discard_ingest
    from dashboard.gateway.store import parse_platform as parse_platform
    from dashboard.gateway.store import read_image_config as read_image_config
    from dashboard.gateway.store import sweep_incoming as sweep_incoming
    from dashboard.gateway.store import sweep_ingest as sweep_ingest
    from dashboard.gateway.transfers import abandoned_transfers as abandoned_transfers
    from dashboard.gateway.transfers import discard_transfer as discard_transfer
    from dashboard.gateway.transfers import ensure_room_for as ensure_room_for
    from dashboard.gateway.transfers import new_transfer as new_transfer
    from dashboard.gateway.transfers import open_transfer as open_transfer
    from dashboard.gateway.transfers import sweep_transfers as sweep_transfers
    from engine.api import Engine as Engine
    from engine.api import HostInfo as HostInfo
    from engine.config import EngineConfig as EngineConfig
    from engine.config import Limits as Limits
    from engine.containers.audit import Known as Known
    from engine.containers.execs import ExecStarted as ExecStarted
    from engine.containers.hostcheck import Finding as Finding
    from engine.containers.lifecycle import Started as Started
    from engine.containers.observe import Observed as Observed
    from engine.containers.operations import LimitsWanted as LimitsWanted
    from engine.containers.record import Exit as Exit
    from engine.containers.states import State as State
    from engine.digest import DiffId as DiffId
    from engine.digest import Digest as Digest
    from engine.errors import ArchiveRejected as ArchiveRejected
    from engine.errors import Cancelled as Cancelled
    from engine.errors import CommandNotExecutable as CommandNotExecutable
    from engine.errors import CommandNotFound as CommandNotFound
    from engine.errors import EngineError as EngineError
    from engine.errors import HostUnfit as HostUnfit
    from engine.errors import ImageUnknown as ImageUnknown
    from engine.errors import LayerRejected as LayerRejected
    from engine.errors import NetworkError as NetworkError
    from engine.errors import NotStored as NotStored
    from engine.errors import PortTaken as PortTaken
    from engine.errors import ReferenceInvalid as ReferenceInvalid
    from engine.errors import RegistryError as RegistryError
    from engine.errors import RequestRefused as RequestRefused
    from engine.errors import RuntimeFailed as RuntimeFailed
    from engine.errors import ShellNotFound as ShellNotFound
    from engine.errors import StoreError as StoreError
    from engine.errors import StoreFull as StoreFull
    from engine.errors import UserUnknown as UserUnknown
    from engine.errors import WrongState as WrongState
    from engine.ids import IdRange as IdRange
    from engine.images.owners import layer_ids as layer_ids
    from engine.images.pull import LayerProgress as LayerProgress
    from engine.images.pull import ResolvedImage as ResolvedImage
    from engine.images.pull import ResolvedLayer as ResolvedLayer
    from engine.images.pull import extract_layer as extract_layer
    from engine.images.pull import prove_layer as prove_layer
    from engine.images.pull import resolve as resolve
    from engine.layers.write import WrittenLayer as WrittenLayer
    from engine.network.addresses import Subnet as Subnet
    from engine.network.addresses import container_mac as container_mac
    from engine.network.addresses6 import PREFIX_LENGTH6 as PREFIX_LENGTH6
    from engine.network.addresses6 import Subnet6 as Subnet6
    from engine.network.definition import Endpoint as Endpoint
    from engine.network.definition import NetworkDefinition as NetworkDefinition
    from engine.network.published import Published as Published
    from engine.oci.image_config import ImageConfig as ImageConfig
    from engine.oci.platforms import Platform as Platform
    from engine.reference import Reference as Reference
    from engine.reference import parse as parse
    from engine.registry.endpoints import Credentials as Credentials
    from engine.runtime.access import AccessRequest as AccessRequest
    from engine.runtime.confinement import GRANTABLE_CAPABILITIES as GRANTABLE_CAPABILITIES
    from engine.runtime.confinement import HOST_NAMESPACES as HOST_NAMESPACES
    from engine.runtime.execrequest import ExecRequest as ExecRequest
    from engine.runtime.mountrequest import MountKind as MountKind
    from engine.runtime.mountrequest import MountRequest as MountRequest
    from engine.runtime.namerequest import NameRequest as NameRequest
    from engine.runtime.policy import Policy as Policy
    from engine.runtime.policy import is_below as is_below
    from engine.runtime.request import ContainerRequest as ContainerRequest
    from engine.runtime.request import IdMode as IdMode
    from engine.runtime.rights import RightsRequest as RightsRequest
    from engine.runtime.shares import SharesRequest as SharesRequest
    from engine.runtime.signals import parse_signal as parse_signal
    from engine.stats import Figures as Figures
    from engine.store.audit import StoredLayer as StoredLayer
    from engine.store.audit import StoreRows as StoreRows
    from engine.terminal.rotation import LogState as LogState
    from engine.violation import Violation as Violation

_WHERE = {
    "dashboard.gateway.config": (
        *("engine", "engine_config", "refuse_host_path", "refuse_subnet", "refuse_wishes", "reset_engine"),
        *("routed_networks", "has_route6", "refuse_no_ipv6"),
    ),
    "dashboard.gateway.registries": ("check_login", "registry_origin"),
    "dashboard.gateway.status": ("exit_code_of", "status_of"),
    "dashboard.gateway.store": (
        "abandoned_incoming",
        "abandoned_ingest",
        "discard_incoming",
        "discard_ingest",
        "parse_platform",
        "read_image_config",
        "sweep_incoming",
        "sweep_ingest",
    ),
    "dashboard.gateway.transfers": (
        "abandoned_transfers",
        "discard_transfer",
        "ensure_room_for",
        "new_transfer",
        "open_transfer",
        "sweep_transfers",
    ),
    "engine.api": ("Engine", "HostInfo"),
    "engine.config": ("EngineConfig", "Limits"),
    "engine.containers.audit": ("Known",),
    "engine.containers.execs": ("ExecStarted",),
    "engine.containers.hostcheck": ("Finding",),
    "engine.containers.lifecycle": ("Started",),
    "engine.containers.observe": ("Observed",),
    "engine.containers.operations": ("LimitsWanted",),
    "engine.containers.record": ("Exit",),
    "engine.containers.states": ("State",),
    "engine.digest": ("DiffId", "Digest"),
    "engine.errors": (
        "ArchiveRejected",
        "Cancelled",
        "CommandNotExecutable",
        "CommandNotFound",
        "EngineError",
        "HostUnfit",
        "ImageUnknown",
        "LayerRejected",
        "NetworkError",
        "NotStored",
        "PortTaken",
        "ReferenceInvalid",
        "RegistryError",
        "RequestRefused",
        "RuntimeFailed",
        "ShellNotFound",
        "StoreError",
        "StoreFull",
        "UserUnknown",
        "WrongState",
    ),
    "engine.ids": ("IdRange",),
    "engine.images.owners": ("layer_ids",),
    "engine.images.pull": (
        "LayerProgress",
        "ResolvedImage",
        "ResolvedLayer",
        "extract_layer",
        "prove_layer",
        "resolve",
    ),
    "engine.layers.write": ("WrittenLayer",),
    "engine.network.addresses": ("Subnet", "container_mac"),
    "engine.network.addresses6": ("PREFIX_LENGTH6", "Subnet6"),
    "engine.network.definition": ("Endpoint", "NetworkDefinition"),
    "engine.network.published": ("Published",),
    "engine.oci.image_config": ("ImageConfig",),
    "engine.oci.platforms": ("Platform",),
    "engine.reference": ("Reference", "parse"),
    "engine.registry.endpoints": ("Credentials",),
    "engine.runtime.access": ("AccessRequest",),
    "engine.runtime.confinement": ("GRANTABLE_CAPABILITIES", "HOST_NAMESPACES"),
    "engine.runtime.execrequest": ("ExecRequest",),
    "engine.runtime.mountrequest": ("MountKind", "MountRequest"),
    "engine.runtime.namerequest": ("NameRequest",),
    "engine.runtime.policy": ("Policy", "is_below"),
    "engine.runtime.request": ("ContainerRequest", "IdMode"),
    "engine.runtime.rights": ("RightsRequest",),
    "engine.runtime.shares": ("SharesRequest",),
    "engine.runtime.signals": ("parse_signal",),
    "engine.stats": ("Figures",),
    "engine.store.audit": ("StoreRows", "StoredLayer"),
    "engine.terminal.rotation": ("LogState",),
    "engine.violation": ("Violation",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
__all__ = [*_MODULE_OF]  # noqa: PLE0604 - strings, computed


def __getattr__(name: str) -> Any:  # whatever the engine calls by that name; checkers see the imports above
    if name not in _MODULE_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value
