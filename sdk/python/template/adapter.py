"""An adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special about your system.

    GET    /v1/{list}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
    GET    /v1/{list}/{id}              {"id": "7", "name": "r1"}
    POST   /v1/{list}                   201 {"id": "8", ...}; 409 {"id": "7", ...} when there is one of that name
    PATCH  /v1/{list}/{id}              200
    DELETE /v1/{list}/{id}              204

Import everything here, at the top: a component has no files to import from later.
"""

from typing import Any

from infrahub_sync_adapter import (
    Adapter,
    Addressing,
    Error,
    ErrorKind,
    Evidence,
    Header,
    HeaderTemplate,
    LoadRequest,
    Manifest,
    Operation,
    Outcome,
    Page,
    Row,
    Setting,
    System,
    Target,
    WriteRequest,
    export_adapter,
    http,
)


# The names in messages about refusals.
SYSTEM = System("the inventory", credential=("token", "INVENTORY_TOKEN"))


class Inventory(Adapter):
    @classmethod
    def manifest(cls) -> Manifest:
        return Manifest(
            name="inventory",
            version="0.1.0",
            description="a REST API with paged lists, as a source and as a destination",
            settings=[
                Setting("url", "its address", required=True, environment=["INVENTORY_URL"]),
                Setting("token", "an API token", secret=True, environment=["INVENTORY_TOKEN"]),
            ],
            address_setting="url",
            # The host adds it to each request. The adapter never sees the token.
            credentials=[Header(HeaderTemplate("authorization", "Bearer {token}"))],
            # In both directions, a project names the list by `mapping:`.
            source=Addressing.MAPPING,
            destination=Addressing.MAPPING,
            evidence=Evidence.TOTAL,
            has_ids=True,
            page_size=100,
            write_batch_max=100,
        )

    def load(self, request: LoadRequest) -> Page:
        if request.since is not None:
            raise Error.unsupported("this system does not tell which objects changed")
        number = request.cursor["page"] if request.cursor else 1
        url = list_path(request.resource)
        response = SYSTEM.success(request.resource, http.get(url, query={"page": number, "size": request.page_size}))
        try:
            total = response.get("/total", int)
        except Error:
            raise SYSTEM.unexpected(request.resource, response) from None
        # Pages by number shift when an object is added or removed meanwhile, and a skipped object would look deleted.
        if request.cursor and request.cursor["total"] != total:
            raise Error.conflict(f"`{request.resource}` was modified while it was read: run again")
        more = number * request.page_size < total
        return Page.document(response, "/items", next={"page": number + 1, "total": total} if more else None, total=total)

    def write(self, request: WriteRequest) -> list[Outcome]:
        return request.outcomes(lambda row: write(request, row))


def write(request: WriteRequest, row: Row) -> Outcome:
    # Objects are written to the list from which they are read, whatever the project calls their kind.
    name = request.target.resource_or_kind
    if request.operation is Operation.CREATE:
        return create(name, body(request.target, row))
    url = object_path(name, row.known_id())
    if request.operation is Operation.UPDATE:
        SYSTEM.success(name, http.patch(url, json=body(request.target, row)))
        return Outcome.written(row.id)
    try:
        SYSTEM.success(name, http.delete(url))
    except Error as error:
        # A write may be repeated after an interruption: this object was deleted before.
        if error.kind is ErrorKind.NOT_FOUND:
            return Outcome.unchanged(row.id)
        raise
    return Outcome.written(row.id)


def create(name: str, fields: dict[str, Any]) -> Outcome:
    created = http.post(list_path(name), json=fields)
    id = created.value("/id")
    # In the same way: an object with these values was created before.
    if created.status == 409 and id is not None and has(object_path(name, id), fields):
        return Outcome.unchanged(id)
    SYSTEM.success(name, created)
    return Outcome.written(id)


def body(target: Target, row: Row) -> dict[str, Any]:
    """Returns the fields of a row in the system's words: a value is written to the place from which it is read, a reference by the peer's
    id."""
    fields = {}
    for name, value in row.fields.items():
        field = target.known_field(name)
        place, _ = field.split_path()
        fields[place] = field.with_peers(value)
    return fields


def list_path(name: str) -> str:
    return f"/v1/{http.path_segment(name)}"


def object_path(name: str, id: str) -> str:
    return f"{list_path(name)}/{http.path_segment(id)}"


def has(url: str, fields: dict[str, Any]) -> bool:
    """Says whether the object has these values already."""
    response = http.get(url)
    found = response.value("") if response.is_success else None
    return isinstance(found, dict) and all(name in found and found[name] == value for name, value in fields.items())


export_adapter(Inventory)
