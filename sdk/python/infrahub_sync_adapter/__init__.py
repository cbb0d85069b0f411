"""What an author of an adapter in Python imports. The author's guide is the README beside this package.

The contract itself, with a comment on every item, is ``wit/adapter.wit``; this package keeps an author away from the code that is generated
from it.
"""

from . import files, http, log, memo
from ._export import export_adapter
from .adapter import Adapter
from .errors import Error, ErrorKind
from .http import Request, Response
from .kinds import Field, FieldType, Kind
from .manifest import (
    Addressing,
    Basic,
    Credential,
    Header,
    HeaderTemplate,
    Login,
    LoginPlace,
    LoginStep,
    Manifest,
    QueryParameter,
    Setting,
    SettingType,
)
from .page import Document, JsonLines, Layout, LoadRequest, Page
from .write import KindChanges, Operation, Outcome, Row, Run, RunResult, WriteRequest

__all__ = [
    "Adapter",
    "Addressing",
    "Basic",
    "Credential",
    "Document",
    "Error",
    "ErrorKind",
    "Field",
    "FieldType",
    "Header",
    "HeaderTemplate",
    "JsonLines",
    "Kind",
    "KindChanges",
    "Layout",
    "LoadRequest",
    "Login",
    "LoginPlace",
    "LoginStep",
    "Manifest",
    "Operation",
    "Outcome",
    "Page",
    "QueryParameter",
    "Request",
    "Response",
    "Row",
    "Run",
    "RunResult",
    "Setting",
    "SettingType",
    "WriteRequest",
    "export_adapter",
    "files",
    "http",
    "log",
    "memo",
]
