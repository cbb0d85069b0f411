"""Natively, on the mock host: python3 -m unittest"""

import json
import unittest

from adapter import Inventory
from infrahub_sync_adapter import Error, ErrorKind, Operation, Outcome, WriteRequest, testing


def write(operation, *rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return Inventory().write(WriteRequest("Rack", operation, lines, len(rows), resource="racks", references=["site"]))


class InventoryTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def test_all_pages_of_a_list_are_read(self):
        testing.respond("GET", "/v1/racks?page=1&size=2", 200, {"items": [{"id": "1"}, {"id": "2"}], "total": 3})
        testing.respond("GET", "/v1/racks?page=2&size=2", 200, {"items": [{"id": "3", "name": "Zürich"}], "total": 3})
        records = testing.load_all(Inventory(), testing.first_page("racks", "name", page_size=2))
        self.assertEqual([record["id"] for record in records], ["1", "2", "3"])
        self.assertEqual(records[2]["name"], "Zürich")

    def test_a_list_that_moves_is_not_believed(self):
        testing.respond("GET", "/v1/racks?page=1&size=1", 200, {"items": [{"id": "1"}], "total": 3})
        testing.respond("GET", "/v1/racks?page=2&size=1", 200, {"items": [{"id": "3"}], "total": 2})
        with self.assertRaises(Error) as caught:
            testing.load_all(Inventory(), testing.first_page("racks", page_size=1))
        self.assertEqual(caught.exception.kind, ErrorKind.CONFLICT)

    def test_refusals_are_cases(self):
        for status, body, kind in [
            (401, {"detail": "no token"}, ErrorKind.AUTH),
            (404, b"", ErrorKind.NOT_FOUND),
            (500, b"<html>", ErrorKind.REMOTE),
            (200, b"<html>", ErrorKind.REMOTE),
            (200, {"results": []}, ErrorKind.REMOTE),
        ]:
            testing.reset()
            testing.respond("GET", "/v1/racks?page=1&size=1000", status, body)
            with self.assertRaises(Error) as caught:
                Inventory().load(testing.first_page("racks"))
            self.assertEqual(caught.exception.kind, kind)

    def test_each_row_gets_its_outcome(self):
        testing.respond("POST", "/v1/racks", 201, {"id": "8"})
        testing.respond("POST", "/v1/racks", 409, {"detail": "there is one"})
        site = {"kind": "Site", "key": {"name": "a"}, "id": "17"}
        created, refused, unknown = write(
            Operation.CREATE,
            {"key": {"name": "r1"}, "fields": {"name": "r1", "site": site}},
            {"key": {"name": "r2"}, "fields": {"name": "r2"}},
            {"key": {"name": "r3"}, "fields": {"name": "r3", "site": {"kind": "Site", "key": {"name": "b"}}}},
        )
        self.assertEqual(created, Outcome.written("8"))
        self.assertEqual(testing.requests()[0].json(), {"name": "r1", "site": "17"})
        self.assertEqual((refused.error.kind, refused.error.http_status), (ErrorKind.CONFLICT, 409))
        self.assertEqual(unknown.error.kind, ErrorKind.INVALID)

    def test_what_is_there_as_it_should_be_is_not_created_again(self):
        for height in (42, 48):
            testing.respond("POST", "/v1/racks", 409, {"id": "7"})
            testing.respond("GET", "/v1/racks/7", 200, {"id": "7", "name": "r1", "height": height})
        row = {"key": {"name": "r1"}, "fields": {"name": "r1", "height": 42}}
        same, other = write(Operation.CREATE, row, row)
        self.assertEqual(same, Outcome.unchanged("7"))
        self.assertEqual(other.error.kind, ErrorKind.CONFLICT)

    def test_what_is_gone_needs_no_delete(self):
        testing.respond("DELETE", "/v1/racks/8", 204)
        testing.respond("DELETE", "/v1/racks/9", 404)
        outcomes = write(Operation.DELETE, {"key": {}, "id": "8"}, {"key": {}, "id": "9"}, {"key": {}})
        self.assertEqual(outcomes[:2], [Outcome.written("8"), Outcome.unchanged("9")])
        self.assertEqual(outcomes[2].error.kind, ErrorKind.INVALID)


if __name__ == "__main__":
    unittest.main()
