"""The SDK for adapters in Python. The author's guide is the README beside this package.

The contract itself, with a comment on every item, is ``wit/adapter.wit``; this package hides the code that is generated from it.
"""

from . import files, http, log, memo
from ._export import export_adapter
from .adapter import Adapter
from .errors import Error, ErrorKind
from .http import Request, Response
from .kinds import Cascade, Field, FieldType, Kind
from .manifest import (
    Addressing,
    Alias,
    Basic,
    Condition,
    Credential,
    Evidence,
    Header,
    HeaderTemplate,
    Login,
    LoginPlace,
    LoginStep,
    ReadingPath,
    Manifest,
    QueryParameter,
    ReferenceRule,
    Setting,
    SettingType,
    Table,
)
from .page import Absence, Document, JsonLines, Layout, LoadRequest, Page
from .refusal import System
from .target import Target, TargetField, peer_id
from .write import Dependents, KindChanges, Operation, Outcome, Row, Run, RunResult, WriteRequest

__all__ = [
    "Absence",
    "Adapter",
    "Addressing",
    "Alias",
    "Basic",
    "Cascade",
    "Condition",
    "Credential",
    "Dependents",
    "Document",
    "Error",
    "ErrorKind",
    "Evidence",
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
    "ReadingPath",
    "Manifest",
    "Operation",
    "Outcome",
    "Page",
    "QueryParameter",
    "ReferenceRule",
    "Request",
    "Response",
    "Row",
    "Run",
    "RunResult",
    "Setting",
    "SettingType",
    "System",
    "Table",
    "Target",
    "TargetField",
    "WriteRequest",
    "export_adapter",
    "files",
    "http",
    "log",
    "memo",
    "peer_id",
]
