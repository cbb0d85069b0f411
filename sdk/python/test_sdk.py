"""The SDK natively: python3 -m unittest (in this folder)."""

import json
import unittest

from infrahub_sync_adapter import Adapter, Error, ErrorKind, Operation, Outcome, Page, WriteRequest, files, http, log, memo, testing
from infrahub_sync_adapter.http import end_call, with_query
from infrahub_sync_adapter.memo import Lifetime


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

    def test_a_status_has_its_case_and_its_words(self):
        for status, kind, body, words in [
            (401, ErrorKind.AUTH, {"detail": "no  token"}, ": no token"),
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

    def test_how_long_to_wait_is_told(self):
        testing.respond("GET", "/x", 429, b"", {"Retry-After": " 7 "})
        error = self.failure(lambda: http.get("/x").success("x"))
        self.assertEqual((error.kind, error.retry_after_ms), (ErrorKind.RATE_LIMITED, 7000))
        testing.respond("GET", "/y", 429, b"", {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
        self.assertIsNone(self.failure(lambda: http.get("/y").success("y")).retry_after_ms)

    def test_a_request_says_what_it_is(self):
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

    def test_a_response_is_of_no_use_after_its_release(self):
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

    def test_what_is_no_json_is_a_failure_of_the_system(self):
        testing.respond("GET", "/x", 200, b"<html>")
        self.assertEqual(self.failure(http.get("/x").parse).kind, ErrorKind.REMOTE)

    def test_in_a_run_the_first_value_stays_and_a_lasting_one_is_replaced(self):
        self.assertIsNone(memo.get(Lifetime.RUN, "a"))
        self.assertEqual([memo.put(Lifetime.RUN, "a", value) for value in (1, 2)], [1, 1])
        self.assertEqual([memo.put(Lifetime.LASTING, "a", value) for value in ("1", "2")], ["1", "2"])
        testing.next_run()
        self.assertEqual((memo.get(Lifetime.RUN, "a"), memo.get(Lifetime.LASTING, "a")), (None, "2"))

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

    def test_records_of_one_s_own_are_lines(self):
        page = Page.records(({"id": number, "name": "é"} for number in range(2)), next={"after": 1})
        self.assertEqual(page.payload.data, '{"id":0,"name":"é"}\n{"id":1,"name":"é"}\n'.encode())
        self.assertEqual(testing.page_records(page)[1], {"id": 1, "name": "é"})
        self.assertEqual(testing.page_records(Page.empty()), [])

    def test_a_row_that_breaks_the_adapter_does_not_take_the_others_with_it(self):
        lines = b"".join(json.dumps({"key": {"n": n}}).encode() + b"\n" for n in range(3))

        def write(row):
            return Outcome.written(1 // (row.key["n"] - 1))

        one, broken, three = WriteRequest("K", Operation.CREATE, lines, 3).outcomes(write)
        self.assertEqual((one, three), (Outcome.written("-1"), Outcome.written("1")))
        self.assertEqual(broken.error.kind, ErrorKind.INTERNAL)
        self.assertRegex(broken.error.message, r"^ZeroDivisionError: .* \(test_sdk\.py, line \d+\)$")
        self.assertIn("Traceback", testing.messages()[0][1])

    def test_what_an_adapter_does_not_implement_is_unsupported_or_nothing(self):
        adapter = Adapter.configure({"a": 1})
        self.assertEqual(adapter.settings, {"a": 1})
        for call in (adapter.kinds, adapter.load, adapter.write):
            self.assertEqual(self.failure(call, []).kind, ErrorKind.UNSUPPORTED)
        self.assertEqual((adapter.begin(None), adapter.commit([]), adapter.finish(None, None)), (None, None, None))

    def test_messages_are_kept(self):
        log.info("a")
        log.warn("b")
        self.assertEqual(testing.messages(), [("info", "a"), ("warn", "b")])


if __name__ == "__main__":
    unittest.main()
