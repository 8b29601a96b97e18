"""The types of single fields: a check in Python, its wording for people, and a pattern for editors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from nimctl.description import syntax


def expected(what: str) -> PydanticCustomError:
    """The error of a field that holds something else than ``what``."""
    return PydanticCustomError("expected", "{expected}", {"expected": what})


def _checked(check: Callable[[str], object]) -> AfterValidator:
    def validate(text: str) -> str:
        try:
            check(text)
        except syntax.SyntaxProblem as problem:
            raise expected(str(problem)) from problem
        return text

    return AfterValidator(validate)


def _matching(pattern: re.Pattern[str], what: str, longest: int = 256) -> AfterValidator:
    def check(text: str) -> None:
        if len(text) > longest:
            raise syntax.SyntaxProblem(f"at most {longest} characters")
        if pattern.fullmatch(text) is None:
            raise syntax.SyntaxProblem(what)

    return _checked(check)


def _pattern(pattern: str) -> Any:
    return Field(json_schema_extra={"pattern": f"^(?:{pattern})$"})


def _text(pattern: str, what: str, longest: int = 256) -> Any:
    return Annotated[str, _matching(re.compile(pattern), what, longest), _pattern(pattern)]


def _text_or_list(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    raise expected("a node set such as 10.0.0.[11-14], or a list of texts")


Name = Annotated[
    str,
    _matching(
        syntax.NAME, "lower-case letters, digits and `-`, beginning with a letter and not ending with `-`", 40
    ),
    _pattern(syntax.NAME.pattern),
]
NodeSet = Annotated[str, _matching(re.compile(r".*\S.*", re.S), "a node set such as gpu[01-16]", 4_000_000)]
AddressSet = Annotated[str | list[str], BeforeValidator(_text_or_list)]
AbsolutePath = Annotated[str, _checked(syntax.check_absolute), _pattern("/.*")]
ImageReference = Annotated[str, _checked(syntax.parse_image)]
Duration = Annotated[str, _checked(syntax.parse_duration), _pattern(r"(\d+h)?(\d+m)?(\d+s)?")]
HostPort = Annotated[str, _checked(syntax.check_host_port)]
FilePath = _text(r"[^\s'\"\\-][^'\"\\]*", "the path of a file, without quotes and backslashes", 1024)
UserName = _text(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", "the name of a user: letters, digits, `_`, `.` and `-`", 32)
JumpHost = _text(
    r"[A-Za-z0-9_\[][A-Za-z0-9._@:\[\]%-]*(,[A-Za-z0-9_\[][A-Za-z0-9._@:\[\]%-]*)*",
    "a jump host as `ssh -J` takes it: [user@]host[:port]",
)
VariableName = _text(
    syntax.VARIABLE.pattern, "the name of a variable: letters, digits and `_`, no digit first"
)
InterfaceName = _text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", "the name of a network interface such as ib0", 15)
HcaName = _text(
    r"[A-Za-z][A-Za-z0-9_.-]*(:[0-9]{1,2})?",
    "the name of an HCA such as mlx5_0, or mlx5_0:1 with its port",
    64,
)
LogSize = _text(r"[1-9][0-9]{0,8}[kmg]", "a number with k, m or g, such as 100m")
ModelName = _text(
    r"[A-Za-z0-9_/][A-Za-z0-9_./:@+=-]*", "the name of a model such as org/model, or a path, without blanks"
)
Word = _text(r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]*", "one word of letters, digits and . _ - + : /")
MountOption = _text(r"[A-Za-z0-9_][A-Za-z0-9_.:/=+-]*", "one mount option such as nconnect=8")
Version = _text(r"[0-9][0-9A-Za-z.+~:-]*", "a version such as 580.126.09")
Url = _text(r"https?://[^\s/?#'\"\\]+[^\s'\"\\]*", "a URL that begins with http:// or https://")
ServerName = _text(
    r"[A-Za-z0-9\[][A-Za-z0-9._:@,\[\]-]*",
    "a node, a host name, an address or the NIDs of a Lustre management server",
    512,
)
ExportName = _text(r"/[A-Za-z0-9/._+@=-]*", "a path such as /srv/models, or /FSNAME for Lustre")
