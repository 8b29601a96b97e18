"""Shell scripts with ``docker run`` or ``podman run``, and the variables that a script exports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from nimctl.lint.containers import Container, MountPoint, Variable
from nimctl.lint.model import Edit, Source
from nimctl.lint.shellwords import Command, Word, commands

ENGINES = ("docker", "podman", "nerdctl")

_FLAGS = frozenset(
    (
        "--detach",
        "--interactive",
        "--tty",
        "--rm",
        "--privileged",
        "--init",
        "--read-only",
        "--no-healthcheck",
        "--oom-kill-disable",
        "--publish-all",
        "--quiet",
        "--replace",
    )
)
_SHORT = {
    "-e": "--env",
    "-v": "--volume",
    "-p": "--publish",
    "-u": "--user",
    "-w": "--workdir",
    "-h": "--hostname",
    "-l": "--label",
    "-m": "--memory",
    "-c": "--cpu-shares",
    "-a": "--attach",
}
_SHORT_FLAGS = frozenset("ditqP")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of ``run``: its long name, its value, its words in the file."""

    name: str
    value: str
    first: Word
    last: Word
    expands: bool

    @property
    def value_start(self) -> int:
        """Where the value begins in the file, quotes included."""
        return self.last.start if self.first is not self.last else self.first.end - len(self.value)


@dataclass(eq=False)
class Run:
    """One ``run``: the container, its options, the word of the image."""

    container: Container
    options: list[Option]
    image: Word | None
    command: Command

    def option(self, name: str) -> Option | None:
        """The last option of a name."""
        return next((each for each in reversed(self.options) if each.name == name), None)

    def each(self, *names: str) -> Iterator[Option]:
        """The options of these names."""
        return (each for each in self.options if each.name in names)


@dataclass(eq=False)
class Script:
    """A script: what it runs in containers, what it exports, and all its commands."""

    source: Source
    commands: list[Command]
    runs: list[Run] = field(default_factory=list)
    exports: Container | None = None


def read(source: Source) -> Script:
    """Read a script."""
    found = Script(source, commands(source))
    exports = Container("docker", source, (1, 1))
    for command in found.commands:
        exports.variables += exported(source, command)
        start = _start_of_run(command)
        if start is not None:
            found.runs.append(_run(source, command, start))
    if exports.variables:
        exports.place = exports.variables[0].place
        found.exports = exports
    return found


def exported(source: Source, command: Command) -> list[Variable]:
    """The variables that ``export`` sets."""
    if command.words[0].text != "export":
        return []
    return [_assignment(source, word) for word in command.words[1:] if "=" in word.text]


def _assignment(source: Source, word: Word) -> Variable:
    name, _, value = word.text.partition("=")
    found = Variable(name, value, "expanded" if word.expands else "literal", word.place)
    raw = source.text[word.start : word.end]
    line = word.place[0]
    at = word.start + raw.index("=") + 1
    found.remove = (source.remove_lines(line, line),)
    found.rename = lambda text: (Edit(word.start, at - 1, text),)
    found.write = lambda text: (Edit(at, word.end, text),)
    return found


def _start_of_run(command: Command) -> int | None:
    """Where the options of ``docker run`` begin, behind `sudo` and the like."""
    texts = [word.text for word in command.words]
    for index, text in enumerate(texts):
        if text.rsplit("/", 1)[-1] in ENGINES:
            rest = texts[index + 1 :]
            skipped = next((n for n, word in enumerate(rest) if not word.startswith("-")), None)
            if skipped is None:
                return None
            if rest[skipped] == "container":
                skipped += 1
            return index + skipped + 2 if rest[skipped : skipped + 1] == ["run"] else None
    return None


def _run(source: Source, command: Command, start: int) -> Run:
    options: list[Option] = []
    words = command.words[start:]
    while words and words[0].text.startswith("-") and words[0].text != "-":
        words = _option(words, options)
    image = words[0] if words else None
    container = Container("docker", source, command.words[0].place)
    if image is not None:
        container.image, container.image_place = image.text, image.place
    container.words = [word.text for word in words[1:]]
    run = container.run = Run(container, options, image, command)
    _fill(run)
    return run


def _option(words: list[Word], options: list[Option]) -> list[Word]:
    """Read one option; what is left."""
    first, text = words[0], words[0].text
    if not text.startswith("--"):
        if set(text[1:]) <= _SHORT_FLAGS:
            options.append(Option(text, "", first, first, False))
            return words[1:]
        name = _SHORT.get(text[:2], text[:2])
        if len(text) > 2 and text[1] not in _SHORT_FLAGS:
            options.append(Option(name, text[2:].removeprefix("="), first, first, first.expands))
            return words[1:]
    else:
        name, joined, value = text.partition("=")
        if joined or name in _FLAGS:
            options.append(Option(name, value, first, first, first.expands))
            return words[1:]
    if len(words) < 2:
        return []
    options.append(Option(name, words[1].text, first, words[1], words[1].expands))
    return words[2:]


def _fill(run: Run) -> None:
    container = run.container
    for option in run.options:
        if option.name == "--env":
            container.variables.append(_variable(container.source, option))
        elif option.name == "--env-file":
            container.seen = False
        elif option.name in ("--volume", "--mount"):
            mount = _mount(option)
            if mount is not None:
                container.mounts.append(mount)
    devices = [option.value for option in run.each("--device")]
    gpus = run.option("--gpus")
    listed = [device for device in devices if device.startswith("nvidia.com/gpu=")]
    if listed and "nvidia.com/gpu=all" not in listed:
        container.gpus = len(listed)
    elif gpus is not None and gpus.value.isdigit():
        container.gpus = int(gpus.value)
    network = run.option("--network") or run.option("--net")
    container.host_network = network is not None and network.value == "host"
    privileged = run.option("--privileged") is not None
    container.rdma = privileged or any(device.startswith("/dev/infiniband") for device in devices)
    added = {option.value.upper().removeprefix("CAP_") for option in run.each("--cap-add")}
    container.ipc_lock = privileged or bool(added & {"IPC_LOCK", "ALL"})
    ipc = run.option("--ipc")
    container.shm = run.option("--shm-size") is not None or (ipc is not None and ipc.value == "host")
    container.add_variable = lambda name, value: insert_option(run, f"-e {name}={value}")
    container.find_role()


def _variable(source: Source, option: Option) -> Variable:
    name, joined, value = option.value.partition("=")
    origin = "expanded" if option.expands else "literal"
    found = Variable(name, value, "passed" if not joined else origin, option.first.place)  # type: ignore[arg-type]
    found.remove = remove_option(source, option)
    at = source.text.index(name, option.first.start if option.first is option.last else option.last.start)
    found.rename = lambda text: (Edit(at, at + len(name), text),)
    # From the equals sign to the end of the word, so that quotes go with the value.
    found.write = lambda text: (Edit(at + len(name) + 1, option.last.end, text),)
    return found


def _mount(option: Option) -> MountPoint | None:
    if option.name == "--mount":
        parts = dict(part.partition("=")[::2] for part in option.value.split(","))
        target = parts.get("target") or parts.get("dst") or parts.get("destination") or ""
        source = parts.get("source") or parts.get("src") or ""
        return MountPoint(target, source, "readonly" in parts or "ro" in parts, option.first.place)
    source, _, rest = option.value.partition(":")
    target, _, flags = rest.partition(":")
    if not target:
        return None
    found = MountPoint(target, source, "ro" in flags.split(","), option.first.place)
    if not option.expands:
        text = option.value

        def retarget(path: str) -> tuple[Edit, ...]:
            tail = f":{flags}" if flags else ""
            start = option.last.end - len(text)
            return (Edit(start, option.last.end, f"{source}:{path}{tail}"),)

        found.retarget = retarget
    return found


def remove_option(source: Source, option: Option) -> tuple[Edit, ...]:
    """Take out an option, with its line where it is alone on it."""
    first, last = option.first.place[0], source.place(option.last.end)[0]
    before = source.text[source.start(first) : option.first.start]
    after = source.text[option.last.end : source.start(last + 1)]
    if not before.strip() and re.fullmatch(r"\s*\\?\s*", after) and "\\" in after:
        return (source.remove_lines(first, last),)
    return (Edit(option.first.start, option.last.end + (len(after) - len(after.lstrip(" "))), ""),)


def insert_option(run: Run, text: str) -> tuple[Edit, ...]:
    """Put an option before the image, on a line of its own where the others are."""
    if run.image is None:
        return ()
    source, line = run.container.source, run.image.place[0]
    lead = source.text[source.start(line) : run.image.start]
    if not lead.strip() and line > run.command.words[0].place[0]:
        return (source.insert_lines(line, [f"{lead}{text} \\"]),)
    return (Edit(run.image.start, run.image.start, f"{text} "),)
