"""Every sentence that the engine has for people, as gettext finds it. `sentences` looks them up.

`{…}` stands for whatever is put there; what stands at `{what}` and `{why}` is looked up again. Lines that imitate
Docker's are not here on purpose: they are the same in every language. If you add one to the engine: a test walks its
source and names each that is missing here.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

from dashboard.core.network_words import NETWORKS
from dashboard.core.operation_words import OPERATIONS
from dashboard.core.wish_words import WISHES

# What `engine.containers.hostcheck` says; `{…}` stands for whatever it puts there.
FINDINGS: Final = (
    gettext_noop("Berth starts containers with runc. Install it (apt-get install runc) so that {path} works."),
    gettext_noop("No known way out of a container is open in this version."),
    gettext_noop(
        "One minor hole is known in this version (CVE-2026-41579). Install runc 1.3.6, 1.4.3, 1.5.0 or later."
    ),
    gettext_noop(
        "This version has known ways out of a container (CVE-2025-31133, 52565, 52881). Run only images that you trust."
    ),
    gettext_noop(
        "conmon holds each container's terminal and log. Install version 2.1 or later (apt-get install conmon)."
    ),
    gettext_noop("Holds each container's terminal and log."),
    gettext_noop("Berth is made for Linux 6.1 and later; older ones have not been tried."),
    gettext_noop("New enough for everything that Berth does now."),
    gettext_noop("The engine worker needs these rights to mount and to make networks. Start Berth as root."),
    gettext_noop(
        "Limits cannot be enforced without {missing}. Mount /sys/fs/cgroup with these controllers (on some systems: cgroup_enable=memory on the kernel's command line)."
    ),
    gettext_noop("Memory, processor and process limits of containers are enforced."),
    gettext_noop("Layers are stacked by descriptor: up to 500, and none of them has a path."),
    gettext_noop("This kernel wants paths of layers (before Linux 6.13); Berth attaches them for a moment. Up to 500."),
    gettext_noop("This kernel takes layers as one line of 4096 bytes (before Linux 6.8); some hundred fit."),
    gettext_noop("Containers need overlayfs for their own writable layer. Load the kernel module 'overlay'."),
    gettext_noop(
        "The data folder's file system cannot hold the writable layers of containers. Move BERTH_DATA to a local ext4, XFS or btrfs."
    ),
    gettext_noop("Load the kernel module 'squashfs': image layers are squashfs files."),
    gettext_noop("Load the kernel module 'loop' (in a container: give it /dev): layers are mounted by loop."),
    gettext_noop("Image layers can be mounted."),
    gettext_noop(
        "Containers need user namespaces, so that root in one is nobody on this host. Allow them (sysctl user.max_user_namespaces), or start Berth with more rights."
    ),
    gettext_noop("Root in a container is nobody on this host, and each container has ids of its own."),
    gettext_noop(
        "Root in a container is nobody on this host, but all containers share one range of ids: this kernel cannot show a layer with other owners (Linux 6.2 and later can). Images that were pulled under another kernel must be pulled again."
    ),
    gettext_noop("This host's policy lets people ask for containers whose root is the host's root (--userns host)."),
    gettext_noop("no user namespaces: {problem}"),
    gettext_noop(
        "No container is made until this can be tried: it would share its ids with all others for good. Berth tries again every half minute."
    ),
    gettext_noop("user namespaces are on: ids {first} to {last}"),
    gettext_noop("user namespaces are on, with shared ids {first} to {last}"),
    gettext_noop("ids of containers could not be tried: {problem}"),
    gettext_noop("{ceiling} is on in {path}"),
    gettext_noop("Containers of teams whose run policy says so, too, can reach this host by it."),
    gettext_noop("Pulls write layers with tar2sqfs. Install it (apt-get install squashfs-tools-ng)."),
    gettext_noop(
        "Containers are started only with a filter of system calls. Install the base list (apt-get install golang-github-containers-common)."
    ),
    gettext_noop("System calls of containers are filtered: the distribution's list, tightened by Berth's."),
    gettext_noop(
        "Containers get no network without a firewall around it. Install nftables (apt-get install nftables)."
    ),
    gettext_noop("The kernel's nf_tables cannot be used; load its module or start Berth as root."),
    gettext_noop("Holds the rules around containers."),
    gettext_noop("Another firewall drops what is forwarded; Berth lets its own bridge pass in the chain {chain}."),
    gettext_noop("It may drop what containers send out. If so: firewall-cmd --zone=trusted --add-interface=<bridge>."),
    gettext_noop("Containers could not reach those addresses, nor be reached. Choose another network (BERTH_SUBNET)."),
    gettext_noop("Addresses of containers; no route of this host overlaps them."),
    gettext_noop("Needed for the way out of containers. It also lets other networks of this host reach each other."),
    gettext_noop(
        "Containers have no way out. The engine switches it on when it starts, and again when somebody did not."
    ),
    gettext_noop(
        "No name server of this host can be reached from a container, so they ask public ones. Name others in /etc/resolv.conf if these must not be asked."
    ),
    gettext_noop("Name servers that containers ask, from {source}."),
    gettext_noop("Containers are in the default network only, until it is there (apt-get install aardvark-dns)."),
    gettext_noop("Containers find each other by name in networks of their own."),
    gettext_noop("Nothing can be published on an IPv6 address, until it is there (apt-get install socat)."),
    gettext_noop("The reserve is reached: pulls and starts are refused until something is removed."),
    gettext_noop("Not many more images fit. Remove some that are not used."),
    gettext_noop("Room for images, writable layers and logs."),
    gettext_noop("This could not be looked at. Berth needs to be root on this host for it."),
    gettext_noop("{program} was not found"),
    gettext_noop("{program} is there"),
    gettext_noop("{program} is missing"),
    gettext_noop("{program} is too old"),
    gettext_noop("missing {rights}"),
    gettext_noop("overlayfs, layers by {method}"),
    gettext_noop("overlayfs cannot be mounted: {problem}"),
    gettext_noop("overlayfs refuses {place}: {problem}"),
    gettext_noop("this kernel has no seccomp filters"),
    gettext_noop("{place} cannot be read"),
    gettext_noop("nftables works"),
    gettext_noop("iptables has {chain}"),
    gettext_noop("firewalld is running"),
    gettext_noop("{network} overlaps {others}"),
    gettext_noop("forwarding is on"),
    gettext_noop("forwarding is off"),
    gettext_noop("{free} GiB of {total} GiB free at {place}"),
)

ERRORS: Final = (
    # The registry and what it sends
    gettext_noop(
        "'{host}' is at {address}, inside this network, where images are not fetched from. If that is right, an administrator lists the registry in BERTH_MIRRORS (name=https://…) or BERTH_PLAIN_HTTP."
    ),
    gettext_noop("{what} does not have the digest {digest}. The registry, or something on the way, changed it."),
    gettext_noop("{what} came with a digest that is none."),
    gettext_noop("{what} has {found} bytes where {wanted} were announced."),
    gettext_noop("{what} was announced as '{announced}' but sent as '{sent}'."),
    gettext_noop("The image's configuration is larger than {limit} MiB."),
    gettext_noop(
        "The download of {digest} from {registry} broke off after {done} of {size} bytes ({problem}). Pull again: it goes on from there."
    ),
    gettext_noop(
        "The registry {registry} sent {why} bytes for {digest} than the {size} that the image's manifest promises. The image is damaged there."
    ),
    gettext_noop("{digest} is missing in the registry {registry}: {reason}"),
    gettext_noop("A web page came instead of {digest} from {registry}. Is there a log-in page between?"),
    gettext_noop(
        "The mirror set for {registry} is not a URL like http://127.0.0.1:5000. An administrator can correct it."
    ),
    gettext_noop("The registry {registry} sends us to '{address}' for a token, which is not a safe address."),
    gettext_noop("The registry {registry} sends us to another owner's host, '{host}', for a token. That is refused."),
    gettext_noop("{what} is larger than {limit} bytes."),
    gettext_noop("The registry {registry} answered {status} ({reason})."),
    gettext_noop("toomanyrequests: the registry {registry} wants fewer requests. Try again later. ({reason})"),
    gettext_noop("The registry {registry} is in trouble: it answered {status} again and again ({reason}). Try later."),
    gettext_noop("The registry {registry} denied access: {reason}."),
    gettext_noop("The registry {registry} does not answer, or far too slowly. Is it up, and does this host reach it?"),
    gettext_noop(
        "The registry {registry} answers in plain HTTP (server gave HTTP response to HTTPS client). If that is right, an administrator lists it in BERTH_PLAIN_HTTP."
    ),
    gettext_noop("The registry {registry} cannot be reached: {reason}. Is it up, and does this host reach it?"),
    gettext_noop("The certificate of the registry {registry} is not trusted: {reason}"),
    gettext_noop("The registry {registry} sends us in circles: more than {limit} redirects."),
    gettext_noop("The registry {registry} redirects to an address that is not safe to follow."),
    gettext_noop(
        "The registry {registry} wants a name and a password for '{repository}', and none are set. Log in to it: berth login."
    ),
    gettext_noop("The registry {registry} wants a name and a password, and none are set. Log in to it: berth login."),
    gettext_noop("The registry {registry} does not take this name and password: incorrect username or password."),
    gettext_noop(
        "The registry has no layer {digest} with the content that the image's config names: the image is damaged there, or"
        " pretends to have somebody else's layer."
    ),
    gettext_noop("The registry's token server sent no usable token."),
    gettext_noop(
        "The proxy that the environment names cannot be used. Only http:// and https:// proxies are supported."
    ),
    # Images: names, manifests, pulls
    gettext_noop("'{digest}' is not a digest. A digest is 'sha256:' and 64 hexadecimal digits."),
    gettext_noop("invalid reference format: {why}"),
    gettext_noop("'{registry}' is not the name of a registry"),
    gettext_noop("'{port}' is not a port of a registry"),
    gettext_noop("repository name ({name}) must be lowercase"),
    gettext_noop("repository name must not be more than {limit} characters"),
    gettext_noop("'{name}' has an empty part between slashes"),
    gettext_noop(
        "'{part}' is not part of a name: lowercase letters and digits, with '.', '_', '__' or '-' between them"
    ),
    gettext_noop("the tag is missing behind the colon of '{name}'"),
    gettext_noop("'{tag}' is not a tag: at most 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'"),
    gettext_noop("the name of the image is empty"),
    gettext_noop("the name of an image has no spaces or control characters"),
    gettext_noop("repository name must have at least one component"),
    gettext_noop("The name of the layer's file is not a plain name."),
    gettext_noop("The layer {layer} is larger than {limit} bytes."),
    gettext_noop("{what} is a list of lists of lists of images, which is too deep."),
    gettext_noop(
        "The image cannot be trusted: its manifest has {layers} layers, its configuration speaks of {configured}."
    ),
    gettext_noop("The pull was cancelled."),
    gettext_noop("The download was stopped."),
    gettext_noop("The download was cancelled."),
    gettext_noop(
        "The layer that the registry sent is not {digest}: the registry, or something on the way, changed it."
    ),
    gettext_noop("'{platform}' is not a platform. A platform is written like linux/amd64 or linux/arm64/v8."),
    gettext_noop("{what} is not valid: {problem}"),
    gettext_noop("{what} does not describe a container image but '{type}'."),
    gettext_noop("{what} names a configuration larger than {limit} MiB."),
    gettext_noop("{what} has a layer of an unknown kind: '{type}'."),
    gettext_noop(
        "{what} is in the old format, schema 1, which Berth does not read (nor does Docker today). Push the image again with a newer client."
    ),
    gettext_noop("{what} says that it is '{own}', but the registry sent it as '{sent}'."),
    gettext_noop("{what} could be read both as one image and as a list of images."),
    gettext_noop("{what} is of a kind that Berth does not know: the registry calls it {type}."),
    gettext_noop("{what} has more than {limit} {things}."),
    gettext_noop("{what} is nested deeper than {limit} levels."),
    gettext_noop("{what} contains text that is not valid."),
    gettext_noop("{what} is larger than {limit} MiB."),
    gettext_noop("{what} is not a JSON object."),
    gettext_noop("{what} is not valid JSON: {why}."),
    gettext_noop("a key is given twice"),
    gettext_noop("{what} is not valid: '{key}' is not {why}."),
    # Layers
    gettext_noop("The layer's archive is refused: {why}."),
    gettext_noop("The layer's archive is refused: {why} (at '{place}')."),
    gettext_noop("it contains a character device 0:0, which would hide files of other layers"),
    gettext_noop("it has more than {limit} entries"),
    gettext_noop("an entry lies below a whiteout"),
    gettext_noop("a whiteout names no file"),
    gettext_noop("it is larger than {limit} bytes when unpacked"),
    gettext_noop("a header's {field} is out of range"),
    gettext_noop("a header's {field} is not a number"),
    gettext_noop("a header's {field} is not an octal number"),
    gettext_noop("this is not a tar archive, or a header's checksum is wrong"),
    gettext_noop("a header has a prefix but no known version"),
    gettext_noop("it unpacks to more than {ratio} times its size"),
    gettext_noop("its gzip data is broken ({problem})"),
    gettext_noop("its gzip data is cut off"),
    gettext_noop("something follows its compressed data"),
    gettext_noop("its zstd data is broken or needs more memory than allowed ({problem})"),
    gettext_noop("a name is longer than {limit} bytes"),
    gettext_noop("an entry has no name"),
    gettext_noop("a name is deeper than {limit} folders"),
    gettext_noop("a name contains '..'"),
    gettext_noop("a part of a name is longer than {limit} bytes"),
    gettext_noop("a symbolic link's target is empty or too long"),
    gettext_noop("an extended header's record has no length"),
    gettext_noop("an extended header's record has a wrong length"),
    gettext_noop("an extended header's record has no key"),
    gettext_noop("an extended header says '{key}' twice"),
    gettext_noop("a sparse file has more than {limit} regions"),
    gettext_noop("it holds a sparse file in star's own form, which is not supported"),
    gettext_noop("an extended header's '{key}' contains a NUL"),
    gettext_noop("an extended header's {key} is no number in range"),
    gettext_noop("an extended header's mtime is no time"),
    gettext_noop("a global header sets '{key}' for all entries"),
    gettext_noop("it ends in the middle of a block"),
    gettext_noop("it ends in the middle of a file"),
    gettext_noop("something follows its end"),
    gettext_noop("a block of zeros stands between its entries"),
    gettext_noop("a {kind} has a size"),
    gettext_noop("the name of a {kind} ends in a slash"),
    gettext_noop("a file's name ends in a slash"),
    gettext_noop("an extended header has no entry after it"),
    gettext_noop("an entry of type '{type}' is unknown, or an extended header comes twice"),
    gettext_noop("an extended header is longer than {limit} bytes"),
    gettext_noop("an entry is named by two kinds of extended header"),
    gettext_noop("a sparse map stands where none can"),
    gettext_noop("a sparse file's map does not end"),
    gettext_noop("a sparse file's map is malformed"),
    gettext_noop("a sparse file's map does not fit what is stored"),
    gettext_noop("a sparse file's map is out of order or too long"),
    gettext_noop("a sparse file's map is too long"),
    gettext_noop("a sparse file's map is malformed or has more than {limit} regions"),
    gettext_noop("The layer could not be written (tar2sqfs ended with {status}): {problem}"),
    gettext_noop("The disk is full: the layer could not be written."),
    gettext_noop("Writing the layer took more time or memory than a layer may."),
    gettext_noop("The layer is larger than a layer may be."),
    gettext_noop("The layer has more owners and groups than a layer file can hold (65,536)."),
    gettext_noop("a hard link points to something that is not in this layer before it"),
    gettext_noop("an entry lies below something that is not a folder"),
    gettext_noop("its parent folders are too many symbolic links"),
    gettext_noop("it replaces the root folder by something else"),
    gettext_noop("it replaces too many folders by files"),
    gettext_noop("symbolic links make a name too long or too deep"),
    gettext_noop("its names are too long in total"),
    gettext_noop("it has too many folders"),
    gettext_noop("The layer's content does not have the diff ID {diff_id} that the image's config gives for it."),
    gettext_noop("Writing the layer was cancelled."),
    gettext_noop("The layer's file could not be put in place: {problem}."),
    gettext_noop("The layer's media type says compression '{said}', its bytes are '{found}'."),
    gettext_noop("an entry has too many or too large extended attributes"),
    gettext_noop("an extended attribute's name is too long"),
    gettext_noop("{count} entries of AUFS's own bookkeeping were left out."),
    gettext_noop("{count} extended attributes were left out: only user.* and security.capability are kept."),
    # The store
    gettext_noop("The name of an incoming layer file must be a plain one."),
    gettext_noop("The incoming layer file cannot be opened: {problem}."),
    gettext_noop("The incoming file of layer {layer} is not a regular file with one name; it was refused."),
    gettext_noop("The incoming file of layer {layer} is still open for writing; it was refused."),
    gettext_noop("The file of layer {layer} is not the one that was written; it was refused."),
    gettext_noop("The written file of layer {layer} is gone."),
    gettext_noop("the bytes of blob {digest} do not have its digest. Pull the image again."),
    gettext_noop("blob {digest} is not stored here."),
    gettext_noop("blob {digest} cannot be read: {problem}. Pull the image again."),
    gettext_noop("The disk of {path} does not answer: {problem}."),
    gettext_noop(
        "disk full (store: {free} free): {what} needs {size}, and {reserve} are kept in reserve. Remove images or containers."
    ),
    gettext_noop(
        "disk full (store: {free} free): {what} cannot go on, and {reserve} are kept in reserve. Remove images or containers."
    ),
    gettext_noop("disk full (store: 0 B free): {what} could not be written. Remove images or containers."),
    gettext_noop("{what} could not be written: {problem}."),
    # The root file system
    gettext_noop("The files of container {id} were left alone: {problem}."),
    gettext_noop("The counting was cancelled."),
    gettext_noop("The files of container {id} cannot be counted: {problem}."),
    gettext_noop("The stored layer {layer} cannot be mounted; pull its image again. {problem}"),
    gettext_noop("The file of layer {layer} is not the engine's own; it will not be mounted."),
    gettext_noop("The layer {layer} is not stored on this host; pull its image again."),
    gettext_noop(
        "The layer {layer} was written for a kernel that shows a layer's owners in another way than this one; pull its image again."
    ),
    gettext_noop("The engine worker has not looked at this host yet, so no layer can be written. Is it running?"),
    gettext_noop("The layer {layer} needs a loop device and this host has none: {problem}."),
    gettext_noop("The layer {layer} needs a loop device and this host gave none: {problem}."),
    gettext_noop("The container {id} has no folder."),
    gettext_noop("This host's kernel cannot mount overlayfs: {problem}."),
    gettext_noop("The root file system could not be mounted: {problem}"),
    gettext_noop("The disk is full: there is no space for the container's writable layer."),
    gettext_noop("Minimum size of the writable layer is {size}MB"),
    gettext_noop("A limit for the writable layer needs a loop device and this host gives none: {problem}."),
    gettext_noop("A limit for the writable layer needs mkfs.ext4 on this host (apt-get install e2fsprogs)."),
    gettext_noop("The container's own file system could not be made: {problem}"),
    gettext_noop("This kernel cannot stack {count} layers: {problem}."),
    *NETWORKS,
    # Starting, running, ending
    gettext_noop("{program} did not end in time: {problem}"),
    gettext_noop("{program} ended with status {status}: {problem}"),
    gettext_noop("{program} did not end in time."),
    gettext_noop("{program} ended with status {status}."),
    gettext_noop("'{id}' is not the id of a container."),
    gettext_noop("'{id}' is not a container id."),
    gettext_noop(
        "This host's policy refuses to start containers with a runc that has known holes. Install a newer one."
    ),
    gettext_noop("The container could not be cleaned up: {problem}."),
    gettext_noop("Processes of the container do not end."),
    gettext_noop("The container was started, but its process is not known."),
    gettext_noop("The container could not be started ({step}): {problem}."),
    gettext_noop("The steps of a start are out of order."),
    gettext_noop("The host was restarted."),
    gettext_noop("The container's monitor was lost, so its exit code is unknown."),
    gettext_noop("The container {id} exists already."),
    gettext_noop("The container {id} is {state}, so it cannot be started."),
    gettext_noop("The container {id} is still running."),
    gettext_noop("The container {id} does not end, although it was killed."),
    gettext_noop("The program '{program}' is not installed on this host."),
    gettext_noop(
        "The environment has {count} variables in {size} bytes; a container takes at most {most} in {limit}. The image sets some of them."
    ),
    gettext_noop("The container's monitor gave no answer: {problem}"),
    gettext_noop("The container's monitor gave no answer."),
    gettext_noop("The container's monitor left no process number."),
    gettext_noop("{program} has the version {version}, which is too old. Install conmon 2.1 or later."),
    gettext_noop("{program} is not conmon."),
    gettext_noop("{program} is not runc."),
    gettext_noop("{program} does not run: {problem}"),
    gettext_noop("The container or its monitor ended before it was started."),
    gettext_noop("The {what} could not be started: {problem}"),
    gettext_noop("The memory limit is too low for the container to start."),
    gettext_noop("The image's {path} is larger than 1 MiB."),
    gettext_noop("{path} must be a file that belongs to root and that only root can change."),
    gettext_noop("{path}: only the table [ceilings] is known."),
    gettext_noop("{path} cannot be read: {problem}."),
    gettext_noop("{path}: '{key}' is not a ceiling, or its value is not allowed."),
    gettext_noop("Arguments, environment and names may not contain control characters."),
    gettext_noop("A terminal of {rows} rows and {columns} columns cannot be made (1 to 1000 each)."),
    gettext_noop("A limit must be more than 0 ({name})."),
    gettext_noop("The stored request of this container cannot be read."),
    gettext_noop("A path of the image leads out of it."),
    gettext_noop("The image's {path} is not a plain folder, so it is not started."),
    gettext_noop("The image's {path} is not a plain file, so it is not started."),
    gettext_noop("The image's {path} cannot be used: {problem}."),
    gettext_noop("The {what} lies {depth} folders deep; at most {limit} are made."),
    gettext_noop("The {what} '{path}' lies in {folder}, which belongs to the system."),
    gettext_noop("The {what} cannot be used: {path}: {problem}."),
    gettext_noop("The {what} cannot be used: {path} is a link that leads nowhere."),
    gettext_noop("The {what} cannot be used: {path} is missing and cannot be made: {why}."),
    gettext_noop("{path} is missing in the container and cannot be made: {why}."),
    gettext_noop(
        "{path} is a link that leads nowhere, in something that is mounted in the container. Remove it there."
    ),
    gettext_noop("The container cannot be taken down: {problem}"),
    gettext_noop("{path} is not a list of allowed system calls."),
    gettext_noop("The list of allowed system calls {path} cannot be read. Install golang-github-containers-common."),
    gettext_noop("Berth has no list of system calls for {machine}."),
    gettext_noop("The host's policy does not allow this container: {problem}."),
    # User namespaces
    gettext_noop("A container has ids of its own, above the host's, or none."),
    gettext_noop("A new container needs ids of its own."),
    gettext_noop(
        "All {count} ranges of ids for containers are in use. Remove a container, or allow more (BERTH_ID_RANGES)."
    ),
    gettext_noop("Ids {first} to {last} belong to users of this host; choose others (BERTH_ID_BASE)."),
    gettext_noop(
        "The container's ids {first} to {last} belong to users of this host now (/etc/passwd, /etc/group, /etc/subuid, /etc/subgid). It will not be started."
    ),
    gettext_noop("The container's ids are not of those that this host gives to containers (BERTH_ID_BASE)."),
    gettext_noop("Whether containers can have ids of their own here could not be tried: {problem}. Try again later."),
    gettext_noop(
        "This host does not allow containers without a user namespace (--userns host): root in one would be root of the host. Its administrator can, in {path} (userns_host = true)."
    ),
    gettext_noop("{path}: 'userns_host' and 'user_namespaces' cannot both be true."),
    gettext_noop("{path} lets nobody else pass, so containers cannot reach their files. Give it the mode 0711."),
    gettext_noop("unable to find user {user}: uids and gids of a container must be in range 0-{limit}"),
    *WISHES,
    # Volumes and mounts
    gettext_noop("'{name}' is not the name of a volume."),
    gettext_noop("The volume {name} could not be made: {problem}."),
    gettext_noop("The volume {name} could not be removed: {problem}."),
    gettext_noop("The disk is full: the image's files could not be copied into the volume."),
    gettext_noop("The image's files could not be copied into the volume {name}: {problem}."),
    gettext_noop("The image's folder is deeper than {limit} folders, so it is not copied into the volume."),
    # Archives of volumes
    gettext_noop("'{name}' is not the name of an archive."),
    gettext_noop("It was cancelled; the volume is as it was."),
    gettext_noop("The archive cannot be opened: {problem}."),
    gettext_noop("The archive is gone: it was cancelled, or nobody asked for it any more."),
    gettext_noop("The archive is not a regular file with one name; it was refused."),
    gettext_noop("The archive is refused: {why}."),
    gettext_noop("The archive is refused: {why} (at '{place}')."),
    gettext_noop("The disk is full: the archive could not be unpacked."),
    gettext_noop("The disk is full: the work on the volume {name} was undone."),
    gettext_noop("The disk refused the work on the volume {name}, and it was undone: {problem}."),
    gettext_noop("It does not fit into an archive: {why}."),
    gettext_noop("It does not fit into an archive: {why} (at '{place}')."),
    gettext_noop("a hard link points to something that is not in this archive before it"),
    gettext_noop("a name comes twice"),
    gettext_noop("a name is too long"),
    gettext_noop("it contains a {kind}, and volumes hold none"),
    gettext_noop("it has no end: it was cut off"),
    gettext_noop("it is empty"),
    gettext_noop("the root folder is not a folder"),
    gettext_noop("The host path '{path}' must be absolute and without '.', '..' or doubled slashes."),
    gettext_noop("The host path {path} is never given to a container: {system} belongs to the system or to Berth."),
    gettext_noop("The host path {path} cannot be used: there is a link on the way, or {problem}."),
    gettext_noop("The host path {path} is neither a folder nor a regular file; sockets and devices are never given."),
    gettext_noop(
        "This host's policy does not allow the host path {path} in containers. Use a volume (-v name:/path), or have an administrator add it to host_paths in /etc/berth/engine.toml."
    ),
    gettext_noop("The host's policy does not allow what is mounted at {path}."),
    gettext_noop("{path} could not be mounted: {problem}."),
    *OPERATIONS,
    gettext_noop("Nothing can be mounted at {path}: /proc, /sys and /dev belong to the system."),
    gettext_noop("Nothing can be mounted at {path}: Berth writes this file anew for each container."),
    gettext_noop("Paths of mounts may not contain control characters or be longer than 4096."),
    gettext_noop("A tmpfs may allow 'exec' and 'suid' only."),
    gettext_noop("The mode of a tmpfs must be between 0 and 7777."),
    gettext_noop("invalid size of a tmpfs: '{size}'"),
    # Terminals
    gettext_noop("The detach keys are at most {limit}."),
    gettext_noop("Unknown character: '{character}'. Detach keys are like ctrl-p,ctrl-q."),
    gettext_noop("The container is not running."),
    gettext_noop("The container is too busy to take input just now."),
    gettext_noop("The container takes no more input."),
    gettext_noop("The log was rotated away before it could be read."),
)

# What stands at `{what}` and `{why}` and is said nowhere alone.
PARTS: Final = (
    gettext_noop("The manifest of {image}"),
    gettext_noop("the image's configuration"),
    gettext_noop("text"),
    gettext_noop("a whole number"),
    gettext_noop("an object"),
    gettext_noop("a list"),
    gettext_noop("a list of texts"),
    gettext_noop("a list of objects"),
    gettext_noop("an object of texts"),
    gettext_noop("a size in bytes"),
    gettext_noop("a media type"),
    gettext_noop("a descriptor"),
    gettext_noop("more"),
    gettext_noop("fewer"),
    gettext_noop("layer {digest}"),
    gettext_noop("download {digest}"),
    gettext_noop("the download"),
    gettext_noop("the backup"),
    gettext_noop("the archive"),
    gettext_noop("restoring the volume"),
    gettext_noop("the upload"),
    gettext_noop("it holds more than {limit} bytes"),
    gettext_noop("blob {digest}"),
    gettext_noop("container"),
    gettext_noop("command"),
    gettext_noop("working directory"),
    gettext_noop("place of a mount"),
    gettext_noop("{problem} for the container's root"),
    gettext_noop("in a folder of the host Berth makes nothing"),
)
