"""Starting a lab, and changing one that runs."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nimctl.errors import NimctlError, RejectedError
from nimctl.lab import apt, describe, inside, subnet, vm
from nimctl.lab.command import CommandError, interrupted, run
from nimctl.lab.containers import Containers, detect
from nimctl.lab.images import Images, Workshop, cache_folder, recipes
from nimctl.lab.inside import Changes, Inside
from nimctl.lab.keys import Keys
from nimctl.lab.lock import locked
from nimctl.lab.names import LABEL, Names, node_names
from nimctl.lab.node import USER, node_files
from nimctl.lab.registry import Registry
from nimctl.lab.rehearsal import rehearsal_image
from nimctl.lab.seed import REPOSITORY, TAG, seeded_registry
from nimctl.lab.tarball import File, Files, digest
from nimctl.suggest import command

Say = Callable[[str], None]

REGISTRY = "registry"
_READY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; None leaves it as it is in a lab that exists, or takes the default."""

    name: str
    nodes: int | None
    container_engine: str | None
    gpus: int | None
    inventory: Path
    subnet: str | None
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What all nodes of a lab have in common."""

    driver: str
    container_engine: str
    gpus: int


@dataclass(frozen=True, slots=True)
class Part:
    """One container of the lab, completely defined."""

    name: str
    role: str
    image: str
    address: str
    options: tuple[str, ...]
    volumes: tuple[tuple[str, str], ...]
    files: Files
    command: tuple[str, ...]

    @property
    def spec(self) -> str:
        """A fingerprint of the definition."""
        told = (
            self.role,
            self.image,
            self.address,
            self.options,
            self.volumes,
            digest(self.files),
            self.command,
        )
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Result:
    """A lab that is up; ``nodes`` maps each name to what happened to it: kept, started, made, replaced."""

    name: str
    engine: str
    subnet: str
    inventory: Path
    container_engine: str
    nodes: dict[str, tuple[str, str]]
    removed: tuple[str, ...]
    registry: str
    image: str
    described: bool
    seconds: float

    def as_json(self) -> dict[str, object]:
        """The documented JSON shape."""
        return {
            "name": self.name,
            "engine": self.engine,
            "subnet": self.subnet,
            "inventory": str(self.inventory),
            "container_engine": self.container_engine,
            "nodes": [
                {"name": name, "address": address, "change": change}
                for name, (address, change) in self.nodes.items()
            ],
            "removed": list(self.removed),
            "registry": self.registry,
            "image": self.image,
            "description_written": self.described,
            "seconds": round(self.seconds, 1),
        }


def up(wish: Wish, say: Say) -> Result:
    """Start a lab, or make one that exists match the wish.

    Raises:
        RejectedError: the wish cannot be fulfilled by any lab.
        NimctlError: starting failed; ``down`` removes what there is.
    """
    started = time.monotonic()
    names = Names(wish.name)
    cache = cache_folder()
    scratch = cache / "tmp" / wish.name
    with locked(cache / f"{wish.name}.lock", lambda holder: say(f"waiting: {holder} is working on this lab")):
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _up(wish, names, Workshop(detect(scratch), wish.name, cache, say), say, started)
        finally:
            _remove_empty(scratch)


def _up(wish: Wish, names: Names, workshop: Workshop, say: Say, started: float) -> Result:
    engine = workshop.engine
    before = inside.look(engine, names)
    if before.inventory and Path(before.inventory) != wish.inventory.resolve():
        raise RejectedError(
            f"Lab {wish.name} belongs to {before.inventory}, not to {wish.inventory}. Use --inventory "
            f"{before.inventory}, another --name, or take it down first."
        )
    nodes = node_names(len(before.nodes) or 2 if wish.nodes is None else wish.nodes)
    settings = _settings(wish, before)
    asked = subnet.parse(wish.subnet) if wish.subnet else None
    keys = Keys(wish.inventory / ".lab")
    images = _images(workshop, settings.driver)
    engine = engine.probed(images.node)
    network = _network(engine, names, wish, before, asked, say)
    plan = subnet.Plan(network)
    keys.prepare(nodes, plan.registry)
    parts = _parts(engine, names, nodes, plan, keys, images, settings)
    existing = dict(before.nodes)
    if before.registry:
        existing[REGISTRY] = before.registry
    changes = inside.compare({name: part.spec for name, part in parts.items()}, existing)
    for leftover in before.leftovers:
        engine.remove_container(leftover)
    _apply(engine, names, parts, changes, say)
    addresses = {node: plan.node(node) for node in nodes}
    keys.write_known_hosts(addresses)
    registry = Registry(plan.registry, keys)
    lab = describe.Lab(
        wish.name,
        tuple(nodes),
        tuple(addresses.values()),
        registry.host,
        settings.container_engine,
        settings.gpus,
        settings.driver,
    )
    described = describe.write(lab, wish.inventory / "cluster.yml")
    if not described:
        say(f"{wish.inventory}/cluster.yml was changed by somebody and stays as it is")
    _wait(wish.name, addresses, registry, keys, settings.driver, say)
    for reference in registry.outdated(wish.inventory):
        say(
            f"{reference} was made again and has another digest than the lock names: "
            f"{command(wish.inventory, 'lock', '--upgrade', 'images')}"
        )
    return Result(
        name=wish.name,
        engine=engine.kind,
        subnet=str(network),
        inventory=wish.inventory,
        container_engine=settings.container_engine,
        nodes={node: (addresses[node], _change(changes, node)) for node in nodes},
        removed=changes.remove,
        registry=registry.host,
        image=f"{registry.host}/{REPOSITORY}:{TAG}",
        described=described,
        seconds=time.monotonic() - started,
    )


def _images(workshop: Workshop, driver: str) -> Images:
    """Make the images that are missing, all at once."""
    sources = apt.detect()
    node, registry = recipes(sources)
    if driver == "vm":
        node = vm.recipe(sources)
    with ThreadPoolExecutor(max_workers=3) as pool:
        jobs = [
            pool.submit(workshop.made, registry),
            pool.submit(rehearsal_image, workshop),
            pool.submit(workshop.made, node),
        ]
        filled = seeded_registry(workshop, jobs[0].result(), jobs[1].result())
        return Images(jobs[2].result(), filled)


def _settings(wish: Wish, before: Inside) -> Settings:
    """As wished, else as the lab has it, else containers with podman and without GPU stand-ins."""
    labels = next(iter(before.nodes.values())).labels if before.nodes else {}
    driver = wish.driver or before.driver
    if driver not in ("container", "vm"):
        raise RejectedError(f"--driver {driver}: container or vm.")
    engine = wish.container_engine or labels.get(inside.ENGINE) or "podman"
    if engine not in ("podman", "docker"):
        raise RejectedError(f"--container-engine {engine}: podman or docker.")
    gpus = wish.gpus if wish.gpus is not None else int(labels.get(inside.GPUS) or 0)
    if not 0 <= gpus <= 8:
        raise RejectedError(f"--gpus {gpus}: a node has 0 to 8 stand-ins.")
    return Settings(driver, engine, gpus)


def _network(
    engine: Containers,
    names: Names,
    wish: Wish,
    before: Inside,
    asked: ipaddress.IPv4Network | None,
    say: Say,
) -> ipaddress.IPv4Network:
    """The lab's network; made where it is missing."""
    if before.subnet:
        if asked and asked != before.subnet:
            raise RejectedError(
                f"--subnet {asked}: lab {wish.name} has {before.subnet} already. Take it down first."
            )
        return before.subnet
    taken = [network.subnet for network in engine.networks().values()] + _routes()
    error: CommandError | None = None
    for number, network in enumerate([asked] if asked else subnet.candidates(wish.name, taken)):
        if number == 5:
            break
        plan = subnet.Plan(network)
        try:
            engine(
                *("network", "create", f"--label={names.label}"),
                f"--label={inside.INVENTORY}={wish.inventory.resolve()}",
                *(f"--subnet={network}", f"--gateway={plan.gateway}", names.network),
            )
        except CommandError as failed:
            # Another lab that starts at the same time may have been quicker.
            error = failed
            continue
        say(f"network {network}")
        return network
    raise error or NimctlError("No network for the lab is free. Choose one with --subnet CIDR.")


def _routes() -> list[ipaddress.IPv4Network]:
    """The networks that this machine has routes to."""
    table = Path("/proc/net/route")
    found = []
    for line in table.read_text().splitlines()[1:] if table.exists() else []:
        _, destination, _, _, _, _, _, mask = line.split()[:8]
        if int(mask, 16):
            address = socket.inet_ntoa(int(destination, 16).to_bytes(4, "little"))
            width = socket.inet_ntoa(int(mask, 16).to_bytes(4, "little"))
            found.append(ipaddress.IPv4Network(f"{address}/{width}", strict=False))
    return found


def _parts(
    engine: Containers,
    names: Names,
    nodes: Sequence[str],
    plan: subnet.Plan,
    keys: Keys,
    images: Images,
    settings: Settings,
) -> dict[str, Part]:
    """Everything that shall run, by name."""
    parts = {REGISTRY: _registry_part(engine, names, plan, keys, images)}
    for node in nodes:
        parts[node] = _node_part(engine, names, node, plan, keys, images, settings)
    return parts


def _registry_part(engine: Containers, names: Names, plan: subnet.Plan, keys: Keys, images: Images) -> Part:
    certificate, key = keys.server(plan.registry)
    return Part(
        name=names.registry,
        role="registry",
        image=images.registry,
        address=plan.registry,
        options=(
            "--hostname=registry",
            "--network-alias=registry",
            "--network-alias=registry.lab",
            "--restart=always",
        ),
        volumes=(("/var/lib/registry", names.registry),),
        files={
            "/etc/registry/server.crt": File(certificate.read_bytes()),
            "/etc/registry/server.key": File(key.read_bytes(), 0o600),
            "/etc/registry/password": File(keys.ngc_key.read_bytes(), 0o600),
        },
        command=(),
    )


def _node_part(
    engine: Containers,
    names: Names,
    node: str,
    plan: subnet.Plan,
    keys: Keys,
    images: Images,
    settings: Settings,
) -> Part:
    address, host_key, public = plan.node(node), keys.host_key(node), keys.ssh_key.with_suffix(".pub")
    options: tuple[str, ...]
    if settings.driver == "vm":
        options = vm.options(host_key, node, address)
        files = vm.files(host_key, public, node, address, plan.network, settings.gpus)
        command: tuple[str, ...] = ()
    else:
        assert engine.machine
        options = (*engine.node_options(), "--shm-size=2g")
        files = node_files(host_key, public, engine.machine, settings.gpus)
        command = ("/sbin/init",)
    return Part(
        name=names.container(node),
        role="node",
        image=images.node,
        address=address,
        options=(
            *options,
            f"--label={inside.NODE}={node}",
            f"--label={inside.DRIVER}={settings.driver}",
            f"--label={inside.ENGINE}={settings.container_engine}",
            f"--label={inside.GPUS}={settings.gpus}",
            f"--hostname={node}",
            f"--network-alias={node}",
            "--restart=always",
            "--stop-timeout=30",
        ),
        volumes=tuple(sorted(names.volumes(node, settings.driver).items())),
        files=files,
        command=command,
    )


def _apply(engine: Containers, names: Names, parts: dict[str, Part], changes: Changes, say: Say) -> None:
    """Make the containers match, all at once."""
    if changes.remove:
        say(f"removing {', '.join(changes.remove)}")
    if changes.replace:
        say(f"making again, because their definition changed: {', '.join(changes.replace)}")
    fresh = [*changes.make, *changes.replace]
    if fresh or changes.start:
        say(f"starting {', '.join([*fresh, *changes.start])}")
    with ThreadPoolExecutor(max_workers=9) as pool:
        jobs = [pool.submit(_remove, engine, names, name) for name in changes.remove]
        jobs += [pool.submit(_make, engine, names, parts[name]) for name in changes.make]
        jobs += [pool.submit(_replace, engine, names, parts[name]) for name in changes.replace]
        jobs += [pool.submit(_start, engine, parts[name]) for name in changes.start]
        for job in jobs:
            job.result()


def _remove(engine: Containers, names: Names, node: str) -> None:
    engine.remove_container(names.container(node))
    for volume in (*names.volumes(node).values(), *names.volumes(node, "vm").values()):
        engine("volume", "rm", "--force", volume, check=False)


def _start(engine: Containers, part: Part) -> None:
    # A frozen one cannot be started; on any other this has no effect.
    engine("unpause", part.name, check=False)
    engine("start", part.name)


def _replace(engine: Containers, names: Names, part: Part) -> None:
    engine.remove_container(part.name)
    _make(engine, names, part)


def _make(engine: Containers, names: Names, part: Part) -> None:
    """Make one container and its volumes, from nothing."""
    for _, volume in part.volumes:
        create = ("volume", "create", f"--label={names.label}", volume)
        if engine(*create, check=False).returncode:
            # One that an earlier start left, or that of the node that is made again.
            engine("volume", "rm", volume)
            engine(*create)
    labels = {LABEL: names.lab, inside.ROLE: part.role, inside.SPEC: part.spec, inside.ADDRESS: part.address}
    options = [
        *(f"--label={name}={value}" for name, value in labels.items()),
        f"--network={names.network}",
        f"--ip={part.address}",
        f"--mac-address={subnet.mac(part.address)}",
        *(f"--volume={volume}:{folder}" for folder, volume in part.volumes),
        *part.options,
    ]
    engine.create(part.name, part.image, options, part.files, part.command)
    engine("start", part.name)


def _wait(
    name: str, addresses: dict[str, str], registry: Registry, keys: Keys, driver: str, say: Say
) -> None:
    """Wait until every node answers by SSH and the registry by TLS."""
    seconds = vm.SECONDS if driver == "vm" else _READY_SECONDS
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(max_workers=9) as pool:
        jobs = {
            pool.submit(
                _answers,
                partial(_ssh_login, keys, address) if driver == "vm" else partial(_ssh_banner, address),
                deadline,
            ): node
            for node, address in addresses.items()
        }
        jobs[pool.submit(_answers, registry.answers, deadline)] = REGISTRY
        silent = {name: error for job, name in jobs.items() if (error := job.result())}
    if silent:
        lines = "\n".join(f"  {name}: {error}" for name, error in silent.items())
        raise NimctlError(
            f"Started, but no answer within {seconds} s from:\n{lines}\n"
            f"Look inside with `nimctl lab shell --name {name} NODE -- journalctl -b`, or take it down: "
            f"`nimctl lab down --name {name}`."
        )
    say("every node answers by SSH")


def _answers(ask: Callable[[], None], deadline: float) -> str | None:
    """Ask until there is an answer; else the last error."""
    while True:
        try:
            ask()
        except (OSError, http.client.HTTPException) as error:
            if interrupted() or time.monotonic() > deadline:
                return str(error) or type(error).__name__
            time.sleep(0.1)
        else:
            return None


def _ssh_banner(address: str) -> None:
    with socket.create_connection((address, 22), timeout=3) as connection:
        if not connection.recv(16).startswith(b"SSH-"):
            raise OSError("port 22 is open but does not speak SSH")


def _ssh_login(keys: Keys, address: str) -> None:
    """A machine answers on port 22 some time before it lets users in."""
    done = run((*vm.ssh(keys.folder, address, USER), "true"), check=False, timeout=20)
    if done.returncode:
        raise OSError(done.stderr.strip() or "no login by SSH")


def _change(changes: Changes, node: str) -> str:
    for word, names in (
        ("kept", changes.keep),
        ("started", changes.start),
        ("made", changes.make),
        ("replaced", changes.replace),
    ):
        if node in names:
            return word
    raise AssertionError(node)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        # An engine's leftovers keep it; `down` removes them.
        return
