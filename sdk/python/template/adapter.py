"""An adapter for a REST API with paged lists, as a source and as a destination. Replace the parts that are special to this API.

    GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
    GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
    POST   /v1/{resource}                   201 {"id": "8", ...}; 409 {"id": "7", ...} if one of that name exists
    PATCH  /v1/{resource}/{id}              200
    DELETE /v1/{resource}/{id}              204

Import everything here, at the top: a component has no files to import from later.
"""

from functools import partial
from typing import Any

from infrahub_sync_adapter import (
    Adapter,
    Addressing,
    Error,
    ErrorKind,
    Header,
    HeaderTemplate,
    LoadRequest,
    Manifest,
    Operation,
    Outcome,
    Page,
    Row,
    Setting,
    WriteRequest,
    export_adapter,
    http,
)


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
            source=Addressing.MAPPING,
            destination=Addressing.MAPPING,
            has_ids=True,
            page_size=100,
            write_batch_max=100,
        )

    def load(self, request: LoadRequest) -> Page:
        if request.since is not None:
            raise Error.unsupported("this system does not report modifications")
        number = request.cursor["page"] if request.cursor else 1
        query = {"page": number, "size": request.page_size}
        response = http.get(f"/v1/{http.path_segment(request.resource)}", query=query).success(request.resource)
        total = response.get("/total", int)
        # Page numbers shift when an object is added or removed meanwhile, and a skipped object would look deleted.
        if request.cursor and request.cursor["total"] != total:
            raise Error.conflict(f"{request.resource}: the list changed during the read; run it again")
        more = number * request.page_size < total
        return Page.document(response, "/items", next={"page": number + 1, "total": total} if more else None, total=total)

    def write(self, request: WriteRequest) -> list[Outcome]:
        return request.outcomes(partial(self._write, request))

    def _write(self, request: WriteRequest, row: Row) -> Outcome:
        resource = request.target.resource_or_kind
        path = f"/v1/{http.path_segment(resource)}"
        fields = _fields(request, row)
        if request.operation is Operation.CREATE:
            created = http.post(path, json=fields)
            id = created.value("/id")
            # A write may be repeated after an interruption: an object with these very fields was created before.
            if created.status == 409 and id is not None and _has(f"{path}/{http.path_segment(id)}", fields):
                return Outcome.unchanged(id)
            created.success(resource)
            return Outcome.written(id)
        path += f"/{http.path_segment(row.known_id())}"
        try:
            if request.operation is Operation.UPDATE:
                http.patch(path, json=fields).success(resource)
            else:
                http.delete(path).success(resource)
        except Error as error:
            # Likewise: a missing object was deleted before.
            if request.operation is Operation.DELETE and error.kind is ErrorKind.NOT_FOUND:
                return Outcome.unchanged(row.id)
            raise
        return Outcome.written(row.id)


def _fields(request: WriteRequest, row: Row) -> dict[str, Any]:
    """Returns the fields of a row as this system takes them: by their names in the system, references as ids."""
    fields = {}
    for name, value in row.fields.items():
        field = request.target.known_field(name)
        # `site.id` is read, `site` is written.
        written, _ = field.split_path()
        fields[written] = field.with_peers(value)
    return fields


def _has(url: str, fields: dict[str, Any]) -> bool:
    """Whether the object has these fields."""
    response = http.get(url)
    found = response.value("") if response.is_success else None
    return isinstance(found, dict) and all(name in found and found[name] == value for name, value in fields.items())


export_adapter(Inventory)
