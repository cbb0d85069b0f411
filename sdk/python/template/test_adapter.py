"""Natively, on the mock host: python3 -m unittest"""

import unittest

from adapter import Inventory
from infrahub_sync_adapter import Error, ErrorKind, Operation, Outcome, Target, TargetField, testing

# The model's Rack is a cabinet in this system, and some fields have other names.
RACK = Target(
    "Rack",
    "cabinets",
    [TargetField("name", "label", identifier=True), TargetField("height"), TargetField("location", "site.id", ["Site"])],
)


def write(operation, *rows):
    return Inventory().write(testing.write_request(RACK, operation, *rows))


class InventoryTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_reads_all_pages_of_a_list(self):
        testing.respond("GET", "/v1/cabinets?page=1&size=2", 200, {"items": [{"id": "1"}, {"id": "2"}], "total": 3})
        testing.respond("GET", "/v1/cabinets?page=2&size=2", 200, {"items": [{"id": "3", "label": "Zürich"}], "total": 3})
        records = testing.load_all(Inventory(), testing.first_page("cabinets", "label", page_size=2))
        self.assertEqual([record["id"] for record in records], ["1", "2", "3"])
        self.assertEqual(records[2]["label"], "Zürich")

    def test_rejects_a_list_that_moves(self):
        testing.respond("GET", "/v1/cabinets?page=1&size=1", 200, {"items": [{"id": "1"}], "total": 3})
        testing.respond("GET", "/v1/cabinets?page=2&size=1", 200, {"items": [{"id": "3"}], "total": 2})
        with self.assertRaises(Error) as caught:
            testing.load_all(Inventory(), testing.first_page("cabinets", page_size=1))
        self.assertEqual(caught.exception.kind, ErrorKind.CONFLICT)

    def test_failures_are_cases(self):
        for status, body, kind in [
            (401, {"detail": "no token"}, ErrorKind.AUTH),
            (404, b"", ErrorKind.NOT_FOUND),
            (500, b"<html>", ErrorKind.REMOTE),
            (200, b"<html>", ErrorKind.REMOTE),
            (200, {"results": []}, ErrorKind.REMOTE),
        ]:
            testing.reset()
            testing.respond("GET", "/v1/cabinets?page=1&size=1000", status, body)
            with self.assertRaises(Error) as caught:
                Inventory().load(testing.first_page("cabinets"))
            self.assertEqual(caught.exception.kind, kind)

    def test_each_row_gets_its_outcome(self):
        testing.respond("POST", "/v1/cabinets", 201, {"id": "8"})
        testing.respond("POST", "/v1/cabinets", 409, {"detail": "there is one"})
        created, rejected, unknown = write(
            Operation.CREATE,
            {"key": {"name": "r1"}, "fields": {"name": "r1", "location": {"kind": "Site", "key": {"name": "a"}, "id": "17"}}},
            {"key": {"name": "r2"}, "fields": {"name": "r2"}},
            {"key": {"name": "r3"}, "fields": {"name": "r3", "location": {"kind": "Site", "key": {"name": "b"}}}},
        )
        self.assertEqual(created, Outcome.written("8"))
        self.assertEqual(testing.requests()[0].json(), {"label": "r1", "site": "17"})
        self.assertEqual((rejected.error.kind, rejected.error.http_status), (ErrorKind.CONFLICT, 409))
        self.assertEqual(unknown.error.kind, ErrorKind.NOT_FOUND)

    def test_does_not_create_an_object_twice(self):
        for height in (42, 48):
            testing.respond("POST", "/v1/cabinets", 409, {"id": "7"})
            testing.respond("GET", "/v1/cabinets/7", 200, {"id": "7", "label": "r1", "height": height})
        row = {"key": {"name": "r1"}, "fields": {"name": "r1", "height": 42}}
        same, other = write(Operation.CREATE, row, row)
        self.assertEqual(same, Outcome.unchanged("7"))
        self.assertEqual(other.error.kind, ErrorKind.CONFLICT)

    def test_a_missing_object_needs_no_delete(self):
        testing.respond("DELETE", "/v1/cabinets/8", 204)
        testing.respond("DELETE", "/v1/cabinets/9", 404)
        outcomes = write(Operation.DELETE, {"key": {}, "id": "8"}, {"key": {}, "id": "9"}, {"key": {}})
        self.assertEqual(outcomes[:2], [Outcome.written("8"), Outcome.unchanged("9")])
        self.assertEqual(outcomes[2].error.kind, ErrorKind.INVALID)


if __name__ == "__main__":
    unittest.main()
