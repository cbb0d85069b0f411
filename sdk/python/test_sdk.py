"""The SDK natively: python3 -m unittest (in this folder)."""

import unittest
from datetime import datetime, timezone

from infrahub_sync_adapter import (
    Adapter,
    Error,
    ErrorKind,
    LoadRequest,
    Operation,
    Outcome,
    Page,
    System,
    Target,
    TargetField,
    files,
    http,
    log,
    memo,
    testing,
)
from infrahub_sync_adapter.http import end_call, with_query
from infrahub_sync_adapter.memo import Lifetime


RACKS = Target(
    "Rack",
    "dcim.racks",
    [TargetField("name", identifier=True), TargetField("state", "status.value"), TargetField("location", "site", ["Site", "Room"])],
)
ACME = System("Acme", credential=("token", "ACME_TOKEN"), address="server")


class SdkTest(unittest.TestCase):
    def setUp(self):
        testing.reset()

    def failure(self, call, *arguments, **options):
        with self.assertRaises(Error) as caught:
            call(*arguments, **options)
        return caught.exception

    def test_a_query_is_encoded(self):
        pairs = {"q": "a&b=ü /+", "fields": "id,name", "limit": 1000, "all": True}
        self.assertEqual(with_query("/x/", pairs), "/x/?q=a%26b%3D%C3%BC%20%2F%2B&fields=id,name&limit=1000&all=true")
        self.assertEqual(with_query("/x?a=1", [("b", 2), ("b", 3)]), "/x?a=1&b=2&b=3")
        self.assertEqual(with_query("/x", {}), "/x")

    def test_a_status_is_a_kind_of_failure(self):
        for status, kind, body, words in [
            (401, ErrorKind.AUTH, {"detail": "no  token"}, ": no token"),
            (302, ErrorKind.REMOTE, b"", ""),
            (404, ErrorKind.NOT_FOUND, b"", ""),
            (412, ErrorKind.CONFLICT, {"error": {"a": 1}}, ': {"a": 1}'),
            (400, ErrorKind.INVALID, "x" * 400, ": " + "x" * 300 + "…"),
            (503, ErrorKind.REMOTE, "<html>", ""),
            (500, ErrorKind.REMOTE, b"\xff", ""),
        ]:
            testing.reset()
            testing.respond("GET", "/x", status, body)
            error = self.failure(lambda: http.get("/x").success("the list"))
            self.assertEqual((error.kind, error.http_status), (kind, status))
            self.assertEqual(error.message, f"the list: HTTP status {status}{words}")
            self.assertTrue(all(response.released for response in testing._mock().responses))

    def test_a_refusal_says_what_to_change(self):
        headers = {"Location": "https://acme.example.com/", "Retry-After": "3"}
        lacks = "`token` (ACME_TOKEN) is missing, wrong or expired, or lacks the permission"
        for status, kind, message in [
            (401, ErrorKind.AUTH, f"Acme denies access to `racks`: {lacks}"),
            (403, ErrorKind.AUTH, f"Acme denies access to `racks`: {lacks}"),
            (301, ErrorKind.CONFIG, "`server` is not the address of Acme: it redirects to https://acme.example.com/"),
            (404, ErrorKind.NOT_FOUND, "Acme has no `racks`"),
            (409, ErrorKind.CONFLICT, "Acme rejects `racks` with HTTP status 409"),
            (429, ErrorKind.RATE_LIMITED, "Acme asks for fewer requests: set a lower `max_concurrency`"),
            (422, ErrorKind.INVALID, "Acme rejects `racks` with HTTP status 422"),
            (503, ErrorKind.REMOTE, "Acme failed on `racks` with HTTP status 503"),
        ]:
            testing.reset()
            testing.respond("GET", "/x", status, "<html>no</html>", headers)
            testing.respond("GET", "/y", status, {"detail": "the bell\n  tolls"}, headers)
            error = self.failure(ACME.success, "racks", http.get("/x"))
            self.assertEqual((error.kind, error.message), (kind, message))
            self.assertEqual((error.http_status, error.retry_after_ms), (status, 3000))
            self.assertEqual("(the bell tolls)" in ACME.refuse("racks", http.get("/y")).message, status != 301)
            self.assertEqual("(its own)" in ACME.refuse("racks", http.get("/y"), "its own").message, status != 301)
        testing.respond("GET", "/z", 403)
        error = System("Acme").refuse("racks", http.get("/z"))
        self.assertEqual(error.message, f"Acme denies access to `racks`: the credential{lacks[20:]}")
        testing.respond("GET", "/ok", 200)
        self.assertTrue(ACME.success("racks", http.get("/ok")).is_success)

    def test_a_page_for_people_is_not_an_answer(self):
        testing.respond("GET", "/x", 200, "<html>Log in</html>", {"Content-Type": "text/html"})
        error = ACME.unexpected("racks", http.get("/x"))
        self.assertEqual((error.kind, error.http_status), (ErrorKind.REMOTE, 200))
        check = "check that `server` is the address of Acme"
        self.assertEqual(error.message, f"the answer for `racks` is not from Acme (text/html): {check}")

    def test_retry_after_is_read(self):
        testing.respond("GET", "/x", 429, b"", {"Retry-After": " 7 "})
        error = self.failure(lambda: http.get("/x").success("x"))
        self.assertEqual((error.kind, error.retry_after_ms), (ErrorKind.RATE_LIMITED, 7000))
        testing.respond("GET", "/y", 429, b"", {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
        self.assertIsNone(self.failure(lambda: http.get("/y").success("y")).retry_after_ms)

    def test_a_request_carries_its_options(self):
        testing.respond_with(lambda request: (200, {}))
        http.post("/x", json={"a": "é"}, headers={"X-A": "1"}, only_reads=True, unprocessed_if=("x-busy", "1"), timeout_ms=5)
        http.delete("/x")
        http.patch("/x", json=[])
        sent = testing.requests()
        self.assertEqual(sent[0].body, '{"a":"é"}'.encode())
        self.assertEqual(sent[0].headers, {"accept": "application/json", "x-a": "1", "content-type": "application/json"})
        self.assertEqual((sent[0].only_reads, sent[0].unprocessed_if, sent[0].timeout_ms), (True, ("x-busy", "1"), 5))
        self.assertEqual([request.only_reads for request in sent], [True, True, False])
        testing.reset()
        self.assertEqual(self.failure(http.get, "/x").kind, ErrorKind.TRANSPORT)

    def test_a_response_is_invalid_after_its_release(self):
        testing.respond("GET", "/x", 200, {"a/b": {"~": [1, None]}})
        with http.get("/x") as response:
            self.assertEqual(response.json("/a~1b/~0/0", "/a~1b/~0/1", "/nothing"), ["1", "null", None])
            self.assertEqual((response.count("/a~1b/~0"), response.count("/a~1b"), response.value("/nothing")), (2, None, None))
            self.assertEqual(response.parse(), {"a/b": {"~": [1, None]}})
        self.assertEqual(response.status, 200)
        self.assertEqual(self.failure(response.body).kind, ErrorKind.INTERNAL)
        response.release()
        kept = http.get("/x")
        end_call()
        self.assertEqual(self.failure(kept.parse).kind, ErrorKind.INTERNAL)

    def test_a_value_has_its_type_and_a_failure_its_pointer(self):
        body = {"n": 7, "f": 1, "t": "x", "b": True, "l": [1], "o": {"a": None}, "big": 9007199254740993}
        testing.respond("GET", "/x", 200, body)
        response = http.get("/x")
        for pointer, kind, value in [
            ("/n", int, 7),
            ("/f", float, 1.0),
            ("/t", str, "x"),
            ("/b", bool, True),
            ("/l", list, [1]),
            ("/o", dict, {"a": None}),
            ("", dict, body),
            ("/big", int, 9007199254740993),
        ]:
            self.assertEqual(response.get(pointer, kind), value)
            self.assertIs(type(response.get(pointer, kind)), kind)
        for pointer, kind, words in [
            ("/t", int, "the value at `/t` of the answer is not an integer"),
            ("/b", int, "the value at `/b` of the answer is not an integer"),
            ("/b", float, "the value at `/b` of the answer is not a number"),
            ("/n", bool, "the value at `/n` of the answer is not a boolean"),
            ("/o/a", str, "the value at `/o/a` of the answer is not a text"),
            ("/l", dict, "the value at `/l` of the answer is not an object"),
            ("/nothing", list, "the answer has no JSON value at `/nothing`"),
        ]:
            error = self.failure(response.get, pointer, kind)
            self.assertEqual((error.kind, error.http_status, error.message), (ErrorKind.REMOTE, 200, words))

    def test_a_body_that_is_not_json_is_a_failure_of_the_system(self):
        testing.respond("GET", "/x", 200, b"<html>")
        error = self.failure(http.get("/x").parse)
        self.assertEqual((error.kind, error.message), (ErrorKind.REMOTE, "the answer cannot be read: it is not JSON"))
        self.assertEqual(self.failure(http.get("/x").get, "", dict).message, "the answer has no JSON value")

    def test_the_date_of_an_answer_is_read(self):
        for text, date in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=timezone.utc)),
            ("Tue, 29 Feb 2028 23:59:60 GMT", datetime(2028, 3, 1, tzinfo=timezone.utc)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("Sun, 06 Nov", None),
        ]:
            testing.reset()
            testing.respond("GET", "/x", 200, b"", {"Date": text})
            self.assertEqual(http.get("/x").date(), date, text)
        testing.respond("GET", "/y", 200)
        self.assertIsNone(http.get("/y").date())

    def test_in_a_run_the_first_value_stays_and_a_lasting_one_is_replaced(self):
        self.assertIsNone(memo.get(Lifetime.RUN, "a"))
        self.assertEqual([memo.put(Lifetime.RUN, "a", value) for value in (1, 2)], [1, 1])
        self.assertEqual([memo.put(Lifetime.LASTING, "a", value) for value in ("1", "2")], ["1", "2"])
        testing.next_run()
        self.assertEqual((memo.get(Lifetime.RUN, "a"), memo.get(Lifetime.LASTING, "a")), (None, "2"))

    def test_a_value_is_made_once_in_a_run(self):
        made = []

        def make():
            made.append(1)

        self.assertIsNone(memo.once("a", make))
        self.assertIsNone(memo.once("a", make))
        self.assertEqual((made, memo.once("b", lambda: "é"), memo.once("b", lambda: 1 / 0)), ([1], "é", "é"))
        with self.assertRaises(ZeroDivisionError):
            memo.once("c", lambda: 1 / 0)
        self.assertEqual(memo.once("c", lambda: 7), 7)
        testing.next_run()
        memo.once("a", make)
        self.assertEqual(made, [1, 1])

    def test_lines_are_read_whole(self):
        whole = b"one\ntwo\n\nthree, the longest\nlast"
        testing.put_file("a", whole)
        for bytes_max in range(1, 40):
            offset, read = 0, b""
            while offset is not None:
                response, offset = files.read_lines("a", offset, bytes_max)
                self.assertTrue(offset is None or response.body().endswith(b"\n"))
                read += response.body()
            self.assertEqual(read, whole)

    def test_files_stay_in_the_folder(self):
        files.append("b", b"1")
        files.append("b", b"2")
        files.append("a", b"")
        self.assertEqual(files.list(), ["a", "b"])
        files.replace("b", "a")
        self.assertEqual(files.read("a").body(), b"12")
        self.assertEqual(self.failure(files.read, "b").kind, ErrorKind.NOT_FOUND)
        files.remove("a")
        files.remove("a")
        self.assertEqual(self.failure(files.append, "../a", b"").kind, ErrorKind.CONFIG)

    def test_reading_all_pages_leaves_the_request_alone(self):
        class Pages(Adapter):
            def load(self, request):
                at = request.cursor or 0
                return Page.records([{"id": at}], next=at + 1 if at < 2 else None)

        request = testing.first_page("racks", "id")
        for _ in range(2):
            self.assertEqual([record["id"] for record in testing.load_all(Pages(), request)], [0, 1, 2])
        self.assertIsNone(request.cursor)

    def test_records_of_the_adapter_are_lines(self):
        page = Page.records(({"id": number, "name": "é"} for number in range(2)), next={"after": 1})
        self.assertEqual(page.payload.data, '{"id":0,"name":"é"}\n{"id":1,"name":"é"}\n'.encode())
        self.assertEqual(testing.page_records(page)[1], {"id": 1, "name": "é"})
        self.assertEqual(testing.page_records(Page.empty()), [])

    def test_a_row_that_breaks_the_adapter_does_not_break_the_others(self):
        def write(row):
            return Outcome.written(1 // (row.key["n"] - 1))

        request = testing.write_request(RACKS, Operation.CREATE, *({"key": {"n": n}} for n in range(3)))
        one, broken, three = request.outcomes(write)
        self.assertEqual((one, three), (Outcome.written("-1"), Outcome.written("1")))
        self.assertEqual(broken.error.kind, ErrorKind.INTERNAL)
        self.assertRegex(broken.error.message, r"^ZeroDivisionError: .* \(test_sdk\.py, line \d+\)$")
        self.assertIn("Traceback", testing.messages()[0][1])

    def halved(self, count, write):
        sent = []

        def record(rows):
            sent.append(rows)
            return write(rows)

        request = testing.write_request(RACKS, Operation.CREATE, *({"key": {"n": n}} for n in range(count)))
        outcomes = request.bisect(lambda row: row.key["n"], record)
        return sent, [outcome.id or outcome.error.message for outcome in outcomes]

    def test_a_rejected_batch_is_halved_until_the_rows_at_fault_are_alone(self):
        def write(rows):
            if any(n in (2, 6) for n in rows):
                raise Error.invalid(f"bad: {rows}")
            return [Outcome.written(f"id {n}") for n in rows]

        sent, outcomes = self.halved(7, write)
        self.assertEqual(outcomes, ["id 0", "id 1", "bad: [2]", "id 3", "id 4", "id 5", "bad: [6]"])
        self.assertEqual(sent, [[0, 1, 2, 3, 4, 5, 6], [0, 1, 2], [0], [1, 2], [1], [2], [3, 4, 5, 6], [3, 4], [5, 6], [5], [6]])
        self.assertEqual(self.halved(0, write), ([], []))

    def test_a_failure_that_is_not_of_the_rows_is_not_halved(self):
        def closed(rows):
            raise Error.auth("closed")

        self.assertEqual(self.failure(self.halved, 4, closed).kind, ErrorKind.AUTH)

        def breaks(rows):
            if len(rows) > 2:
                raise Error.invalid("bad")
            if rows[0] == at:
                raise Error.transport("broken")
            return [Outcome.written(n) for n in rows]

        for at in (0, 2):
            sent, outcomes = self.halved(8, breaks)
            self.assertEqual(outcomes, ["0", "1"][:at] + ["broken"] * (8 - at))
            self.assertEqual(sent[-1], [at, at + 1])

    def test_a_row_that_cannot_be_prepared_is_not_sent(self):
        def prepare(row):
            if row.key["n"] == 1:
                raise Error.invalid("odd")
            return 1 / (row.key["n"] - 3)

        def send(rows):
            self.assertEqual(len(rows), 2)
            return [Outcome.written(len(rows)) for _ in rows]

        request = testing.write_request(RACKS, Operation.CREATE, *({"key": {"n": n}} for n in range(4)))
        first, odd, third, broken = request.bisect(prepare, send)
        self.assertEqual((first, third), (Outcome.written("2"), Outcome.written("2")))
        self.assertEqual((odd.error.message, broken.error.kind), ("odd", ErrorKind.INTERNAL))

    def test_a_row_that_the_answer_leaves_out_failed(self):
        _, outcomes = self.halved(2, lambda rows: [Outcome.written("0")])
        self.assertEqual(outcomes, ["0", "the answer says nothing about this row"])

    def test_fields_are_found_by_name_and_by_path(self):
        self.assertEqual((RACKS.resource_or_kind, Target("Rack").resource_or_kind), ("dcim.racks", "Rack"))
        self.assertEqual(RACKS.known_field("state").split_path(), ("status", "value"))
        self.assertEqual(RACKS.known_field("name").split_path(), ("name", None))
        self.assertEqual([field.name for field in RACKS.fields_at("site")], ["location"])
        self.assertEqual([field.name for field in RACKS.fields_at("name")], ["name"])
        self.assertEqual([field.name for field in RACKS.identifiers], ["name"])
        self.assertEqual([field.is_reference for field in RACKS.fields], [False, False, True])
        error = self.failure(RACKS.known_field, "nope")
        self.assertEqual((error.kind, error.message), (ErrorKind.INTERNAL, "the target `Rack` has no field `nope`"))

    def test_the_owner_is_not_a_field(self):
        request = LoadRequest("racks", ["site.slug", "@owner", "name", "site.name"])
        self.assertEqual((request.top_level_fields(), request.wants_owner), (["site", "name"], True))
        self.assertFalse(LoadRequest("racks").wants_owner)
        request = testing.first_page_of(RACKS)
        self.assertEqual((request.resource, request.fields, request.targets), ("dcim.racks", ["name", "status.value", "site"], [RACKS]))

    def test_references_become_what_the_system_wants(self):
        site = RACKS.known_field("location")
        peer = {"kind": "Site", "key": {"name": "a"}, "id": "7"}
        self.assertEqual([site.with_peers(value) for value in (peer, [peer, peer], [], None)], ["7", ["7", "7"], [], None])
        self.assertEqual(site.with_peers([peer], lambda each: int(each["id"])), [7])
        self.assertIs(RACKS.known_field("name").with_peers(peer), peer)
        error = self.failure(site.with_peers, [peer, {"kind": "Site", "key": {"name": "Zürich"}}])
        message = 'the object {"name":"Zürich"} of `Site`, to which it refers, is not in the system'
        self.assertEqual((error.kind, error.message), (ErrorKind.NOT_FOUND, message))

    def test_a_missing_method_is_unsupported_or_does_nothing(self):
        adapter = Adapter.configure({"a": 1})
        self.assertEqual(adapter.settings, {"a": 1})
        for call, arguments in ((adapter.kinds, [[]]), (adapter.load, [[]]), (adapter.write, [[]]), (adapter.absent, [RACKS, []])):
            self.assertEqual(self.failure(call, *arguments).kind, ErrorKind.UNSUPPORTED)
        self.assertEqual((adapter.begin(None), adapter.commit([]), adapter.finish(None, None)), (None, None, None))
        self.assertEqual(adapter.cascade(RACKS, ["1"]), [])

    def test_messages_are_kept(self):
        log.info("a")
        log.warn("b")
        self.assertEqual(testing.messages(), [("info", "a"), ("warn", "b")])


if __name__ == "__main__":
    unittest.main()
