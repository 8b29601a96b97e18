"""The types of single fields: a check in Python, its wording for people, and a pattern for editors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from nimctl.description import syntax


def expected(what: str) -> PydanticCustomError:
    """The error of a field that holds something else than ``what``."""
    return PydanticCustomError("expected", "{expected}", {"expected": what})


@dataclass(frozen=True, slots=True)
class Checked:
    """Marks a text that a function of ``syntax`` checks; pattern and example are for editors and messages."""

    check: Callable[[str], object]
    pattern: str = ""
    example: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Run the check after the type is known to be text."""
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell editors the pattern and an example."""
        described = handler(schema)
        if self.pattern:
            described["pattern"] = f"^(?:{self.pattern})$"
        if self.example:
            described["examples"] = [self.example]
        return described

    def _validate(self, text: str) -> str:
        try:
            self.check(text)
        except syntax.WordError as problem:
            raise expected(str(problem)) from problem
        return text


def _like(pattern: str, what: str, longest: int = 256, example: str = "") -> Checked:
    """A text of a certain form; ``what`` completes the sentence "expected …"."""
    compiled = re.compile(pattern)

    def check(text: str) -> None:
        if len(text) > longest:
            raise syntax.WordError(f"at most {longest} characters")
        if compiled.fullmatch(text) is None:
            raise syntax.WordError(what)

    return Checked(check, pattern, example)


def _text_or_list(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    raise expected("a node set such as 10.0.0.[11-14], or a list of texts")


_NAME = "lower-case letters, digits and `-`, beginning with a letter and not ending with `-`"
_JUMP = r"[A-Za-z0-9_\[][A-Za-z0-9._@:\[\]-]*"

Name = Annotated[str, _like(syntax.NAME.pattern, _NAME, 40)]
NODE_SET = "gpu[01-16]"
NodeSet = Annotated[str, _like(r"[^\n]*\S[^\n]*", f"a node set such as {NODE_SET}", 4_000_000, NODE_SET)]
AddressSet = Annotated[str | list[str], BeforeValidator(_text_or_list)]
AbsolutePath = Annotated[str, Checked(syntax.check_absolute, "/.*", "/models")]
ImageReference = Annotated[str, Checked(syntax.check_image)]
Duration = Annotated[str, Checked(syntax.parse_duration, r"(?=.)(\d+h)?(\d+m)?(\d+s)?", "45m")]
Silence = Annotated[str, Checked(syntax.check_silence, r"(?=.)(\d+h)?(\d+m)?(\d+s)?", "2m")]
HostPort = Annotated[str, Checked(syntax.check_host_port)]
FilePath = Annotated[
    str, _like(r"[^\s'\"\\-][^'\"\\]*", "the path of a file, without quotes and backslashes", 1024)
]
UserName = Annotated[
    str, _like(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", "the name of a user: letters, digits, `_`, `.` and `-`", 32)
]
JumpHost = Annotated[
    str, _like(f"{_JUMP}(,{_JUMP})*", "a jump host as `ssh -J` takes it: [user@]host[:port]")
]
VariableName = Annotated[
    str, _like(syntax.VARIABLE.pattern, "the name of a variable: letters, digits and `_`, no digit first")
]
InterfaceName = Annotated[
    str, _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", "the name of a network interface such as ib0", 15)
]
HcaName = Annotated[
    str,
    _like(r"[A-Za-z][A-Za-z0-9_.-]*(:[0-9]{1,2})?", "an HCA such as mlx5_0, or mlx5_0:1 with its port", 64),
]
LogSize = Annotated[str, _like(r"[1-9][0-9]{0,8}[kmg]", "a number with k, m or g, such as 100m")]
ModelName = Annotated[
    str, _like(r"[A-Za-z0-9_/][A-Za-z0-9_./:@+=-]*", "a model such as org/model, or a path, without blanks")
]
Word = Annotated[str, _like(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]*", "one word of letters, digits and . _ - + : /")]
MountOption = Annotated[str, _like(r"[A-Za-z0-9_][A-Za-z0-9_.:/=+-]*", "one mount option such as nconnect=8")]
Version = Annotated[str, _like(r"[0-9][0-9A-Za-z.+~:-]*", "a version such as 580.126.09")]
Url = Annotated[
    str, _like(r"https?://[^\s/?#'\"\\]+[^\s'\"\\]*", "a URL that begins with http:// or https://")
]
ServerName = Annotated[
    str, _like(r"[A-Za-z0-9\[][A-Za-z0-9._:@,\[\]-]*", "a node, an address or the NIDs of a Lustre MGS", 512)
]
ExportName = Annotated[
    str, _like(r"/[A-Za-z0-9/._+@=-]*", "a path such as /srv/models, or /FSNAME for Lustre")
]
Fingerprint = Annotated[
    str,
    _like(r"[0-9A-Fa-f]{40}", "the fingerprint of an OpenPGP key: 40 hexadecimal digits without blanks", 40),
]
Network = Annotated[str, Checked(syntax.check_network, example="10.0.0.0/8")]
LabelKey = Annotated[
    str,
    _like(
        r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?",
        "a name of Kubernetes such as rdma/rdma_shared_device_a",
    ),
]
Quantity = Annotated[str, _like(r"[1-9][0-9]{0,9}(Ki|Mi|Gi|Ti|Pi)", "a size such as 500Gi or 2Ti", 13, "2Ti")]
SlurmTime = Annotated[
    str, _like(r"([0-9]{1,4}-)?[0-9]{1,4}(:[0-9]{2}){0,2}|UNLIMITED", "a time such as 2-00:00:00", 16)
]
SlurmOption = Annotated[
    str, _like(r"--[a-z][a-z-]*(=[^\s'\"\\$`]+)?", "one option such as --constraint=h100, without blanks")
]
PortRange = Annotated[str, Checked(syntax.check_port_range, r"[0-9]+-[0-9]+", "32768-60999")]
