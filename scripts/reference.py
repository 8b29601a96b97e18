"""Write docs/reference/ from what the code itself says: argument_specs, module docs, command help, models.

Run it after a change to any of these: ``.venv/bin/python scripts/reference.py``. With ``--check`` it
writes nothing and exits 1 where a page is out of date.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py. Change the source that it names, not this page. -->\n\n"


def cell(text: object) -> str:
    """Make a text fit into one cell of a Markdown table."""
    if isinstance(text, list):
        text = " ".join(str(part) for part in text)
    return str(text).strip().replace("\n", " ").replace("|", "\\|")


def options_table(options: dict[str, Any]) -> Iterator[str]:
    """Describe the options of a role or a module, nested ones by a dotted name."""
    yield "| name | type | default | what |"
    yield "|---|---|---|---|"
    yield from _option_rows(options, "")
    yield ""


def _option_rows(options: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, option in sorted(options.items()):
        kind = option.get("type", "str")
        if option.get("elements"):
            kind = f"list of {option['elements']}"
        if option.get("choices"):
            kind = " \\| ".join(f"`{choice}`" for choice in option["choices"])
        default = "required" if option.get("required") else f"`{cell(option.get('default', ''))}`"
        what = cell(option.get("description", ""))
        yield f"| `{prefix}{name}` | {kind} | {default if default != '``' else ''} | {what} |"
        nested = option.get("options") or option.get("suboptions")
        if nested:
            yield from _option_rows(nested, f"{prefix}{name}.")


def roles_page() -> str:
    """Every role with its entry points and variables, from meta/argument_specs.yml."""
    lines = ["# Roles", ""]
    for specs in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = specs.parent.parent.name
        lines += [f"## {role}", ""]
        for entry, spec in yaml.safe_load(specs.read_text())["argument_specs"].items():
            if entry != "main":
                lines += [f"### {role}, entry point `{entry}`", ""]
            description = spec.get("description", spec.get("short_description", ""))
            lines += [cell(description), ""]
            if spec.get("options"):
                lines += options_table(spec["options"])
    return "\n".join(lines)


def modules_page() -> str:
    """Every module and plugin with its options, from its DOCUMENTATION block."""
    lines = ["# Modules and plugins", ""]
    for source in sorted(ROOT.glob("plugins/*/*.py")):
        documentation = _constant(source, "DOCUMENTATION")
        if documentation is None:
            continue
        kind = source.parent.name.rstrip("s")
        text = yaml.safe_load(documentation)
        lines += [
            f"## nimctl.multinode.{source.stem} ({kind})",
            "",
            cell(text["short_description"]) + ".",
            "",
        ]
        lines += [cell(text.get("description", "")), ""]
        if text.get("options"):
            lines += options_table(text["options"])
    return "\n".join(lines)


def _constant(source: Path, name: str) -> str | None:
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            value = ast.literal_eval(node.value)
            return str(value)
    return None


def commands_page() -> str:
    """Every verb with its arguments and options, from the application itself."""
    cli = importlib.import_module("nimctl.cli.app")
    for verb in cli.VERBS:
        importlib.import_module(f"nimctl.cli.{verb}").register(cli.app)
    root = typer.main.get_command(cli.app)
    lines = ["# Commands", "", "`nimctl --install-completion` installs completion for your shell.", ""]
    for path, command in _commands(root, "nimctl"):
        lines += [f"## {path}", "", (command.help or "").strip(), ""]
        parameters = [parameter for parameter in command.params if parameter.name != "help"]
        if parameters and not hasattr(command, "commands"):
            lines += ["| parameter | default | what |", "|---|---|---|"]
            for parameter in parameters:
                lines.append(_parameter_row(parameter))
            lines.append("")
    return "\n".join(lines)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if path != "nimctl":
        yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, f"{path} {name}")


def _parameter_row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else (parameter.metavar or str(parameter.name).upper())
    default = "" if parameter.default in (None, "", -1, (), [], False) else f"`{cell(parameter.default)}`"
    default = "required" if parameter.required else default
    return f"| `{name}` | {default} | {cell(getattr(parameter, 'help', '') or '')} |"


def rules_page() -> str:
    """Every rule of ``nimctl lint``, from its declaration."""
    importlib.import_module("nimctl.lint.check")
    rules = importlib.import_module("nimctl.lint.model").RULES
    lines = ["# Rules of nimctl lint", "", "`nimctl lint --explain RULE` says the same.", ""]
    for rule in sorted(rules.values(), key=lambda each: each.id):
        lines += [f"## {rule.id}", "", f"{rule.severity}, {', '.join(rule.kinds)}: {rule.title}.", ""]
        lines += [rule.why, "", f"Source: {rule.source}.", ""]
    return "\n".join(lines)


def description_page() -> str:
    """Every field of cluster.yml, from the models that validate it."""
    document = importlib.import_module("nimctl.description.document").Document
    schema = document.model_json_schema()
    lines = ["# cluster.yml", "", "Every field, from the models that validate it.", ""]
    lines += _model_section("Document", "the whole file", schema, schema)
    for name, model in sorted(schema["$defs"].items()):
        if "properties" in model:
            lines += _model_section(name, cell(model.get("description", "")), model, schema)
    return "\n".join(lines)


def _model_section(name: str, what: str, model: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    lines = [f"## {name}", "", what, "", "| field | type | default | what |", "|---|---|---|---|"]
    required = model.get("required", [])
    for field, spec in model["properties"].items():
        default = "required" if field in required else f"`{cell(spec.get('default', ''))}`"
        default = "" if default in ("``", "`None`") else default
        lines.append(
            f"| `{field}` | {_type(spec, schema)} | {default} | {cell(spec.get('description', ''))} |"
        )
    return [*lines, ""]


def _type(spec: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in spec:
        name = spec["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})" if "properties" in schema["$defs"][name] else name
    if "anyOf" in spec:
        return " or ".join(_type(each, schema) for each in spec["anyOf"] if each.get("type") != "null")
    if "enum" in spec:
        return " \\| ".join(f"`{value}`" for value in spec["enum"])
    if "const" in spec:
        return f"`{spec['const']}`"
    if spec.get("type") == "array":
        return f"list of {_type(spec.get('items', {}), schema)}"
    return str(spec.get("type", "any"))


PAGES = {
    "roles.md": roles_page,
    "modules.md": modules_page,
    "commands.md": commands_page,
    "lint-rules.md": rules_page,
    "cluster.yml.md": description_page,
}


def main() -> int:
    """Write or check every page; the exit code is 1 where --check found an old one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 where a page is out of date"
    )
    arguments = parser.parse_args()
    stale = []
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        text = NOTE + page().rstrip() + "\n"
        path = TARGET / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not arguments.check:
            path.write_text(text)
    for name in stale:
        print(f"docs/reference/{name}: {'out of date' if arguments.check else 'written'}")
    if stale and arguments.check:
        print("Run scripts/reference.py and commit what it writes.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
