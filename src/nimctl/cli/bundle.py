"""``nimctl bundle``: all that a description needs from outside of its cluster, in a folder or tar."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from nimctl.cli.app import FormatOption, messages, print_json
from nimctl.cli.options import json_wanted
from nimctl.description.nodeset import expand
from nimctl.errors import RejectedError
from nimctl.lock import Lock, read_lock
from nimctl.locking import plan
from nimctl.run.target import Target, load
from nimctl.stack import versions

if TYPE_CHECKING:
    from nimctl.bundle.store import Store

STEP = 0.1
"""In a pipe a line is written for each part of this size."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(bundle)


def bundle(
    inventory: Annotated[
        Path | None, typer.Option("-i", "--inventory", help="Inventory folder that holds cluster.yml.")
    ] = None,
    destination: Annotated[
        Path | None,
        typer.Option("--output", metavar="FOLDER|FILE.tar", help="What to write, or to go on with."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="BUNDLE",
            help="Make none, but check this one: every file, and with -i that it has what is needed.",
        ),
    ] = None,
    distribution: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NODES=]NAME[/ARCH]",
            help="What nodes run: ubuntu-24.04, or 'gpu[01-04]=debian-13/aarch64'; can be repeated.",
        ),
    ] = None,
    kernel: Annotated[
        str, typer.Option(metavar="RELEASE", help="Kernel of the nodes, as uname -r says it there.")
    ] = "",
    hosts: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Recorded nodes instead: a file for each, with what the module host_probe says there.",
        ),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The distribution's package sources (*.sources, *.list, *.repo); can be repeated.",
        ),
    ] = None,
    with_weights: Annotated[
        bool, typer.Option("--with-weights", help="Also the files of weights that are a folder here.")
    ] = False,
    output: FormatOption = "text",
) -> None:
    """Write what a description needs from outside of its cluster, for nodes without a way out.

    Packages of every managed layer with all that they depend on, container images by digest, a list of
    weights, and the checksum of everything. No node is contacted: say what they run. Missing entries of
    cluster.lock.yml are written, so that the cluster gets exactly what is in the bundle. An interrupted
    run goes on where it stopped. `nimctl provision --from-bundle` uses it.
    """
    as_json = json_wanted(output)
    if check is not None:
        store = checked(check, inventory, as_json)
    elif inventory is None or destination is None:
        raise RejectedError("expected -i FOLDER and --output FOLDER|FILE.tar, or --check BUNDLE")
    else:
        store = _make(inventory, destination, distribution, kernel, hosts, sources, with_weights)
    if as_json:
        print_json(summary(store))
    else:
        _show(store, made=check is None)


def _make(
    inventory: Path,
    destination: Path,
    distribution: list[str] | None,
    kernel: str,
    recorded: Path | None,
    sources: list[Path] | None,
    with_weights: bool,
) -> Store:
    # Imported here: every verb pays for what is imported above.
    from nimctl.bundle.build import Build, Order
    from nimctl.bundle.questions import fetch_key
    from nimctl.cli.lock import _lookup

    if destination.exists() and destination.is_dir() and any(destination.iterdir()):
        _ours(destination)
    target = load(inventory)
    hosts = _hosts(target, distribution or [], kernel, recorded)
    found = plan(inventory, _lookup)
    found.write()
    target = load(inventory)
    order = Order(target.folder, target.placement, hosts, sources or [], with_weights)
    with _reporting() as report:
        return Build(order, destination, report, fetch_key).run()


def _ours(folder: Path) -> None:
    """A folder with something else in it is not written to."""
    known = {"bundle.json", "SHA256SUMS", "SHA256SUMS.new", "description", "packages", "images", "weights"}
    others = sorted(path.name for path in folder.iterdir() if path.name not in {*known, ".work"})
    if others:
        raise RejectedError(
            f"--output {folder}: has something else in it ({', '.join(others[:5])}); give a new folder"
        )


def _hosts(
    target: Target, distribution: Sequence[str], kernel: str, recorded: Path | None
) -> dict[str, Mapping[str, Any]]:
    from nimctl.bundle.wishes import bare, described

    nodes = [node for node in target.placement.cluster.nodes if not node.absent]
    if recorded is not None:
        own = target.placement.cluster.stack.driver.mode != "managed"
        return {node.name: bare(_recorded(recorded / node.name), own_driver=own) for node in nodes}
    chosen = _distributions([node.name for node in nodes], distribution)
    missing = [node.name for node in nodes if node.name not in chosen]
    if missing:
        raise RejectedError(
            f"what runs on {', '.join(missing[:5])} is not known, and no node is contacted: give "
            "--distribution, such as ubuntu-24.04, or --hosts"
        )
    tables = versions.load(target.folder)
    return {
        node.name: described(target.placement.cluster, node, *chosen[node.name], kernel, tables)
        for node in nodes
    }


def _recorded(file: Path) -> Mapping[str, Any]:
    found = next((path for path in (file, file.with_name(f"{file.name}.json")) if path.is_file()), None)
    if found is None:
        raise RejectedError(f"--hosts: {file} is missing; expected a file for each node")
    try:
        text = found.read_text(encoding="utf-8")
        # As `ansible NODE -m ...` prints it: behind "NODE | SUCCESS =>", as JSON or YAML.
        content = yaml.safe_load(text.partition("=>")[2] if "=>" in text.partition("\n")[0] else text)
        host = content.get("host", content)
        if not host["system"]["distribution"]:
            raise KeyError("system.distribution")
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RejectedError(f"{found}: is not what the module host_probe says ({error!r})") from error
    return dict(host)


def _distributions(nodes: Sequence[str], given: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Distribution and architecture by node; later ones win."""
    chosen: dict[str, tuple[str, str]] = {}
    for text in given:
        names, equals, platform = text.rpartition("=")
        name, _, architecture = platform.partition("/")
        wanted = set(expand(names)) if equals else set(nodes)
        unknown = sorted(wanted - set(nodes))
        if unknown:
            raise RejectedError(f"--distribution {text}: the description has no node {unknown[0]}")
        chosen.update(dict.fromkeys(wanted, (name, architecture or "x86_64")))
    return chosen


def checked(path: Path, inventory: Path | None, quiet: bool = False) -> Store:
    """Open a bundle and check every file of it, and that it has what a description needs.

    Raises RejectedError with all that is wrong.
    """
    from nimctl.bundle.check import known_hosts, require
    from nimctl.bundle.questions import Inventory
    from nimctl.bundle.store import open_bundle, verify

    store = open_bundle(path)
    if inventory is not None:
        target = load(inventory)
        found = Inventory(target.folder)
        kinds = found.kinds(known_hosts(store, found.nodes()))
        lock = read_lock(target.folder) or Lock()
        require(store, target.placement, lock, kinds, versions.load(target.folder))
    with _reporting() as report:
        total = sum(max(store.size(each), 0) for each in store.sums)
        verify(store, report.begin(f"checking {path.name}", total))
    return store


def summary(store: Store) -> dict[str, Any]:
    """The stable JSON shape of a bundle (docs/reference/json.md, "Bundle")."""
    about = store.about
    return {
        "path": str(store.path),
        "sha256": store.id,
        "cluster": about.cluster,
        "made": about.made,
        "bytes": sum(store.size(path) for path in store.sums),
        "files": len(store.sums),
        "platforms": [
            {
                "name": platform.name,
                "nodes": sorted(node for node, name in about.nodes.items() if name == platform.name),
                "packages": {name: list(each) for name, each in sorted(platform.packages.items())},
            }
            for platform in about.platforms
        ],
        "images": [{"reference": image.reference, "digest": image.digest} for image in about.images],
        "weights": json.loads(store.text("weights/manifest.json"))["weights"],
    }


def _show(store: Store, made: bool) -> None:
    said = summary(store)
    typer.echo(f"{store.path}: {'complete' if made else 'unaltered'}, {_size(said['bytes'])}")
    for platform in said["platforms"]:
        typer.echo(f"  {len(platform['packages'])} packages for {platform['name']}")
    for image in said["images"]:
        typer.echo(f"  image {image['reference']} ({image['digest'][:19]})")
    for entry in said["weights"]:
        files = "not in the bundle" if entry["files"] is None else f"{len(entry['files'])} files listed"
        revision = entry["revision"] or "no revision"
        typer.echo(f"  weights of {entry['deployment']}: {entry['repository']}, {revision}, {files}")
    typer.echo(f"  sha256 of SHA256SUMS, to compare after the way: {said['sha256']}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


class _Lines:
    """Progress where nobody watches: a line for each tenth."""

    def say(self, text: str) -> None:
        messages.print(text, markup=False, soft_wrap=True)

    def begin(self, title: str, size: int) -> Callable[[int], None]:
        done = 0
        told = 0.0

        def tell(count: int) -> None:
            nonlocal done, told
            done += count
            if size and done / size >= told + STEP and done < size:
                told = done / size
                self.say(f"{title}: {told:.0%} of {_size(size)}")

        self.say(f"{title}: {_size(size)}")
        return tell


class _Bars:
    """Progress on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, soft_wrap=True)

    def begin(self, title: str, size: int) -> Callable[[int], None]:
        task = self._progress.add_task(title, total=size or None)
        return lambda count: self._progress.advance(task, count)


@contextmanager
def _reporting() -> Iterator[_Lines | _Bars]:
    if not messages.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=messages) as progress:
        yield _Bars(progress)
