"""Acts by the name of the resource: see tests/tests/languages.rs."""

import sys

from infrahub_sync_adapter import (
    Absence,
    Adapter,
    Addressing,
    Alias,
    Basic,
    Cascade,
    Condition,
    Dependents,
    Error,
    Evidence,
    Field,
    FieldType,
    Header,
    HeaderTemplate,
    Kind,
    Login,
    LoginPlace,
    LoginStep,
    Manifest,
    Outcome,
    Page,
    QueryParameter,
    ReadingPath,
    ReferenceRule,
    Setting,
    SettingType,
    System,
    Table,
    export_adapter,
    files,
    http,
    log,
    memo,
)
from infrahub_sync_adapter.memo import Lifetime

kept = []
SYSTEM = System("the prober", credential=("token", "PROBER_TOKEN"))


def halves(rows):
    """Writes a batch that has no `bad` row."""
    if "bad" in rows:
        raise Error.invalid(f"one of {len(rows)} is bad")
    return [Outcome.written(f"{row} of {len(rows)}") for row in rows]


def text_of(target):
    """Returns a target as text that is the same in each language."""
    fields = [f"{each.name}/{each.path}/{'+'.join(each.peers)}/{each.many}/{each.identifier}" for each in target.fields]
    return f"{target.kind}@{target.resource}({' '.join(fields)})"


class Prober(Adapter):
    @classmethod
    def manifest(cls):
        return Manifest(
            name="prober",
            version="1.2.3",
            description="acts by the name of the resource",
            settings=[
                Setting("url", "an address"),
                Setting("path", "a folder"),
                Setting("wish", "a number", type=SettingType.INTEGER, environment=["WISH", "WISH2"], default="7"),
                Setting("branch", "a branch", project_first=True, command_line="branch"),
                Setting("variables", "names of variables", type=SettingType.JSON),
                Setting("token", "a token", secret=True, environment_setting="variables"),
                Setting("user", "a name"),
                Setting("password", "a password", secret=True),
            ],
            address_setting="url",
            folder_setting="path",
            credentials=[
                Header(HeaderTemplate("x-token", "New {token}", "new_"), HeaderTemplate("x-token", "Old {token}")),
                Basic("user", "password", when=Condition("wish", "8", "9")),
                QueryParameter("key", "token"),
                Login(
                    [
                        LoginStep("GET", "/hello", values={"csrf": LoginPlace.cookie("csrf"), "id": LoginPlace.header("X-Id")}),
                        LoginStep("POST", "/login", {"X-Csrf": "{csrf}"}, '{"p": "{password}"}', values={"t": LoginPlace.json("/t")}),
                    ],
                    {"authorization": "Bearer {t}"},
                    renew_after_s=60,
                    expired=[401, 403],
                    refresh=[LoginStep("POST", "/again", form={"t": "{t}"})],
                ),
            ],
            reading_paths=[ReadingPath("/results"), ReadingPath("/graphql/*", graphql=True)],
            aliases=[Alias("verify", "verify_ssl", ["VERIFY"]), Alias("host", "url")],
            source=Addressing.KIND,
            destination=Addressing.MAPPING,
            references=[ReferenceRule.UNIQUE_ID, ReferenceRule.FIELD_NAME, ReferenceRule.PEER_COLUMNS],
            tables=[Table("node_name", "nodes", "attributes.id", "attributes.name")],
            lookup="find",
            evidence=Evidence.TOTAL | Evidence.PERMISSIONS,
            ownership=True,
            reads_ids=True,
            schema=True,
            page_size=7,
            write_batch_max=8,
            write_concurrency=3,
            has_ids=True,
        )

    @classmethod
    def configure(cls, settings):
        if settings["wish"] == 13:
            raise Error.config("`wish` must not be 13")
        if settings["wish"] == 14:
            raise KeyError("odd")
        return super().configure(settings)

    def kinds(self, targets):
        fields = [
            Field("name", FieldType.TEXT, unique=True),
            Field("region", FieldType.REFERENCE, optional=True, references=["Region", "Place"]),
            Field("state", choices=["a", "b"], read_only=True, default="a"),
        ]
        cascades = [Cascade("Rack", "site"), Cascade("Note")]
        kinds = [Kind("Site", ["name"], fields, ["Place"], cascades, [["region", "name"]], can_delete=False), Kind("Region")]
        return [kind for kind in kinds if not targets or kind.name in [target.kind for target in targets]]

    def load(self, request):
        return getattr(self, request.resource)(request)

    def echo(self, request):
        log.info(f"asked for {request.resource}")
        record = {
            "fields": request.fields,
            "top": request.top_level_fields(),
            "owner": request.wants_owner,
            "targets": [text_of(target) for target in request.targets],
            "ids": request.ids,
            "size": request.page_size,
            "cursor": request.cursor,
            "since": request.since,
            "wish": self.settings["wish"],
            "settings": sorted(self.settings),
        }
        return Page.records([record], next={"after": ["é", 1]}, watermark="now", deleted=["7", "8"], total=3, partial="a part")

    def absent(self, target, ids):
        if target.kind == "Broken":
            raise Error.remote(f"no log of {text_of(target)}")
        return [{"1": Absence.DELETED, "2": Absence.PRESENT}.get(each, Absence.UNKNOWN) for each in ids]

    def text(self, request):
        return Page.records([{"text": "é 🦀 \0 \" \\ \u2028"}, {"text": None}])

    def empty(self, request):
        return Page.empty(deleted=[])

    def broken(self, request):
        return {}["no such key"]

    def leave(self, request):
        sys.exit("leaving")

    def recurse(self, request):
        return self.recurse(request)

    def wait(self, request):
        raise Error.rate_limited("too fast", 1500).with_status(429)

    def many(self, request):
        for _ in range(100):
            http.get("/results").release()
        response = http.post("/results", json={"é": [1, None]}, query={"a": "b c"}, headers={"x-own": "1"}, only_reads=True, timeout_ms=5000)
        return Page.document(response, "/results", projection=[("name", "/title")], total=response.value("/total"))

    def keep(self, request):
        kept.append(http.get("/results"))
        return Page.empty()

    def give(self, request):
        kept.append(http.get("/results"))
        return Page.document(kept[-1], "/results")

    def kept(self, request):
        return Page.records([kept[-1].parse()])

    def part(self, request):
        response = http.get("/results")
        return Page.records([[response.count("/results"), response.count("/total"), response.json("/total", "/x"), response.header("x-h")]])

    def parse(self, request):
        response = http.get("/results")
        return Page.records([response.parse(), len(response.body())])

    def refused(self, request):
        return Page.document(http.get("/refused").success("the refused"), "")

    def denied(self, request):
        return Page.document(http.get("https://elsewhere.invalid/"), "")

    def memo(self, request):
        found = [memo.get(lifetime, "k") for lifetime in Lifetime]
        return Page.records([[found, [memo.put(lifetime, "k", ["é", request.page_size]) for lifetime in Lifetime]]])

    def files(self, request):
        files.append("b.txt", "é\n".encode())
        files.append("b.txt", b"two\n")
        files.replace("b.txt", "a.txt")
        files.remove("never.txt")
        response, after = files.read_lines("a.txt", 0, 1)
        found = [files.list(), response.body().decode(), after, files.read("a.txt").body().decode()]
        files.remove("a.txt")
        return Page.records([found])

    def helpers(self, request):
        made = [memo.once("made", lambda: ["é", 1]), memo.once("made", lambda: 1 / 0)]
        response = SYSTEM.success("results", http.get("/results"))
        found = [response.get("/total", int), response.get("/results", list)[1], response.date() is not None]
        try:
            response.get("/nothing", str)
        except Error as error:
            found.append(error.message)
        found += [SYSTEM.unexpected("results", response).message, SYSTEM.refuse("refused", http.get("/refused")).message]
        return Page.records([made + found])

    def missing(self, request):
        return Page.lines(files.read("missing.jsonl"))

    def lines(self, request):
        files.append("data.jsonl", b'{"id": 1}\n{"id": 2}\n')
        return Page.lines(files.read("data.jsonl"))

    def begin(self, run):
        changes = [[text_of(change.target), change.creates, change.updates, change.deletes] for change in run.changes]
        return f"{run.id} {run.sync} {run.source} {changes}"

    def write(self, request):
        if request.target.kind == "Broken":
            return 1 / 0
        if request.target.kind == "Halves":
            return request.bisect(lambda row: row.fields["a"], halves)
        facts = [text_of(request.target), request.operation.value, request.count]

        def one(row):
            match row.key["n"]:
                case 0:
                    return Outcome.written(str(facts))
                case 1:
                    return Outcome.staged()
                case 2:
                    return Outcome.unchanged(row.id)
                case 3:
                    raise Error.conflict(f"no: {row.fields['a']}").with_status(409)
            return {}["odd"]

        return request.outcomes(one)

    def commit(self, kinds):
        if "Bad" in kinds:
            raise Error.remote(" ".join(kinds))

    def cascade(self, target, ids):
        if target.kind == "Broken":
            raise Error.remote(f"no cascades of {text_of(target)}")
        return [Dependents("Rack", 2**33, ids), Dependents("notes", 1)]

    def finish(self, run, result):
        counts = [result.created, result.updated, result.deleted, result.unchanged, result.failed, result.skipped]
        return f"{run.id} {counts}" if run.changes else None


export_adapter(Prober)
