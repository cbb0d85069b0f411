"""An adapter for a REST API with paged lists, as a source and as a destination. Replace what is special about it by your system.

    GET    /v1/{resource}?page=1&size=100   {"items": [{"id": "7", "name": "r1"}, ...], "total": 250}
    GET    /v1/{resource}/{id}              {"id": "7", "name": "r1"}
    POST   /v1/{resource}                   201 {"id": "8", ...}; 409 {"id": "7", ...} when there is one of that name
    PATCH  /v1/{resource}/{id}              200
    DELETE /v1/{resource}/{id}              204

Everything that is used at run time is imported here, at the top: a component has no files to import from later.
"""

from functools import partial
from typing import Any
from urllib.parse import quote

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
            destination=True,
            has_ids=True,
            page_size=100,
            write_batch_max=100,
        )

    def load(self, request: LoadRequest) -> Page:
        if request.since is not None:
            raise Error.unsupported("this system does not tell what changed")
        number = request.cursor["page"] if request.cursor else 1
        path = f"/v1/{quote(request.resource, safe='')}"
        response = http.get(path, query={"page": number, "size": request.page_size}).success(request.resource)
        total = response.value("/total")
        if not isinstance(total, int):
            raise Error.remote(f"{request.resource}: the answer is no list with a `total`")
        # Pages by number shift when somebody adds or removes an object meanwhile, and what is skipped would look deleted.
        if request.cursor and request.cursor["total"] != total:
            raise Error.conflict(f"{request.resource}: the list changed while it was read; run it again")
        more = number * request.page_size < total
        return Page.document(response, "/items", next={"page": number + 1, "total": total} if more else None, total=total)

    def write(self, request: WriteRequest) -> list[Outcome]:
        return request.outcomes(partial(self._write, request))

    def _write(self, request: WriteRequest, row: Row) -> Outcome:
        path = f"/v1/{quote(request.resource or request.kind, safe='')}"
        fields = {name: _plain(value) if name in request.references else value for name, value in row.fields.items()}
        if request.operation is Operation.CREATE:
            created = http.post(path, json=fields)
            id = created.value("/id")
            # A write may be repeated after an interruption: what is there as it should be was created before.
            if created.status == 409 and id is not None and _is_there(f"{path}/{quote(str(id), safe='')}", fields):
                return Outcome.unchanged(str(id))
            created.success(request.kind)
            return Outcome.written(id if id is None else str(id))
        if row.id is None:
            raise Error.invalid("the id of this object is not known")
        path += f"/{quote(row.id, safe='')}"
        try:
            if request.operation is Operation.UPDATE:
                http.patch(path, json=fields).success(request.kind)
            else:
                http.delete(path).success(request.kind)
        except Error as error:
            # In the same way: what is gone was deleted before.
            if request.operation is Operation.DELETE and error.kind is ErrorKind.NOT_FOUND:
                return Outcome.unchanged(row.id)
            raise
        return Outcome.written(row.id)


def _is_there(url: str, fields: dict[str, Any]) -> bool:
    """Whether the object has these fields already."""
    response = http.get(url)
    found = response.value("") if response.is_success else None
    return isinstance(found, dict) and all(name in found and found[name] == value for name, value in fields.items())


def _plain(reference: Any) -> Any:
    """A reference as this system wants it: the peer's id, or a list of them."""
    if isinstance(reference, list):
        return [_plain(each) for each in reference]
    if reference is None:
        return None
    if reference.get("id") is None:
        raise Error.invalid(f"the id of the {reference['kind']} that it refers to is not known")
    return reference["id"]


export_adapter(Inventory)
