"""One table of requests, to which every language responds alike: numbers, IDs, encodings, media types, bodies."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.apps.client import JSON, KIBIBYTE, LARGEST_ID, assert_problem, create, locations, send
from tests.e2e.apps.markers import with_database, with_postgres
from tests.e2e.apps.project import Service

ITEM = b'{"name": "x"}'
TOO_LARGE = LARGEST_ID + 1

# How else a number could be written: 5 is the one that is valid.
NOT_NUMBERS = {
    "empty": "",
    "negative": "-5",
    "plus": "+5",
    "encoded plus": "%2B5",
    "space before": "%205",
    "space after": "5%20",
    "tab": "%095",
    "newline": "5%0A",
    "NUL": "5%00",
    "point": "5.0",
    "point alone": "5.",
    "fraction": "1.5",
    "exponent": "5e0",
    "underscore": "1_0",
    "comma": "1,0",
    "leading zero": "05",
    "hexadecimal": "0x5",
    "letters": "five",
    "suffix": "5n",
    "Arabic digit": "%D9%A5",
    "full-width digit": "%EF%BC%95",
    "Infinity": "Infinity",
    "NaN": "NaN",
    "null": "null",
    "true": "true",
    "2^63": str(TOO_LARGE),
    "2^64 + 5": str(2**64 + 5),
    "long": "9" * 400,
}


@with_database
@pytest.mark.parametrize("value", [*NOT_NUMBERS.values(), "0", "101"], ids=[*NOT_NUMBERS, "zero", "over 100"])
def test_invalid_limit_is_422(service: Service, value: str) -> None:
    assert locations(send(service, "GET", f"/items?limit={value}")) == ["query.limit"]


@with_database
@pytest.mark.parametrize("value", [*NOT_NUMBERS.values(), "0"], ids=[*NOT_NUMBERS, "zero"])
def test_invalid_after_is_422(service: Service, value: str) -> None:
    assert locations(send(service, "GET", f"/items?after={value}")) == ["query.after"]


@with_database
@pytest.mark.parametrize("query", ["limit=1", "limit=100", "after=1", f"after={LARGEST_ID}", "limit=5&after=5", ""])
def test_valid_page_is_200(service: Service, query: str) -> None:
    assert send(service, "GET", f"/items?{query}").status_code == 200


@with_postgres
def test_every_invalid_parameter_is_listed(service: Service) -> None:
    assert locations(send(service, "GET", "/items?limit=x&after=0")) == ["query.after", "query.limit"]


@with_postgres
@pytest.mark.parametrize(
    "query", ["limit=1&limit=2", "limit=&limit=1", "limit[]=1", "limit[a]=1", "limit=%zz", "limit=%ff"]
)
def test_ambiguous_query_is_200_or_refused(service: Service, query: str) -> None:
    assert send(service, "GET", f"/items?{query}").status_code in {200, 400, 422}


@with_database
@pytest.mark.parametrize("value", [value for value in NOT_NUMBERS.values() if value], ids=list(NOT_NUMBERS)[1:])
def test_invalid_id_is_404(service: Service, value: str) -> None:
    for method in ("GET", "DELETE"):
        assert_problem(send(service, method, f"/items/{value}"), 404)


@with_database
def test_item_has_one_url(service: Service) -> None:
    item = create(service.client)
    number = str(item["id"])
    spellings = [f"+{number}", f"%2B{number}", f"0{number}", f"{number}.0", f"{number}.", f"{number}e0", f"%20{number}"]
    spellings += [f"{number}%20", f"{number[0]}_{number[1:]}" if number[1:] else f"{number}_", f"{2**64 + item['id']}"]
    for spelling in spellings:
        for method in ("GET", "DELETE"):
            assert_problem(send(service, method, f"/items/{spelling}"), 404)
    assert service.client.get(f"/items/{number}").json() == item


@with_database
@pytest.mark.parametrize("value", ["0", str(LARGEST_ID), str(LARGEST_ID - 1)])
def test_unknown_id_is_404(service: Service, value: str) -> None:
    for method in ("GET", "DELETE"):
        assert_problem(send(service, method, f"/items/{value}"), 404)


@dataclass(frozen=True)
class Body:
    """A body of POST /items; a value that is not bytes is sent as JSON."""

    value: Any
    locations: tuple[str, ...] = ()  # none: 201

    @property
    def bytes(self) -> bytes:
        return self.value if isinstance(self.value, bytes) else json.dumps(self.value).encode()


BODIES = {
    # Names
    "name": Body({"name": "x"}),
    "200 characters": Body({"name": "x" * 200}),
    "200 emoji": Body({"name": "🎈" * 200}),
    "200 combined characters": Body({"name": "e\u0301" * 100}),
    "control characters": Body({"name": "\x01\x7f\u2028\ufeff"}),
    "surrogate pair": Body(rb'{"name": "\ud83c\udf88"}'),
    "escaped member": Body(rb'{"\u006eame": "x"}'),
    "space around": Body(b' \t\r\n{"name": "x"}\n'),
    "no name": Body({}, ("body.name",)),
    "empty name": Body({"name": ""}, ("body.name",)),
    "201 characters": Body({"name": "x" * 201}, ("body.name",)),
    "201 emoji": Body({"name": "🎈" * 201}, ("body.name",)),
    "NUL": Body({"name": "a\0b"}, ("body.name",)),
    "number": Body({"name": 1}, ("body.name",)),
    "boolean": Body({"name": True}, ("body.name",)),
    "null": Body({"name": None}, ("body.name",)),
    "array": Body({"name": ["x"]}, ("body.name",)),
    "object": Body({"name": {"x": 1}}, ("body.name",)),
    # Members
    "unknown member": Body({"name": "x", "extra": 1}, ("body.extra",)),
    "ID": Body({"name": "x", "id": 1}, ("body.id",)),
    "other case": Body({"name": "x", "NAME": "y"}, ("body.NAME",)),
    "other case alone": Body({"Name": "x"}, ("body.Name", "body.name")),
    "every error": Body({"name": "", "extra": 1, "more": 2}, ("body.extra", "body.more", "body.name")),
    # Values that are not an object
    "empty array": Body([], ("body",)),
    "array of items": Body([{"name": "x"}], ("body",)),
    "string": Body("x", ("body",)),
    "null alone": Body(None, ("body",)),
    "number alone": Body(1, ("body",)),
    # What is not JSON
    "empty": Body(b"", ("body",)),
    "spaces": Body(b"  ", ("body",)),
    "half": Body(b'{"name": "x', ("body",)),
    "single quotes": Body(b"{'name': 'x'}", ("body",)),
    "trailing comma": Body(b'{"name": "x",}', ("body",)),
    "two values": Body(ITEM + b" x", ("body",)),
    "comment": Body(b'{"name": "x"} // x', ("body",)),
    "NaN": Body(b'{"name": NaN}', ("body",)),
    "newline in a string": Body(b'{"name": "a\nb"}', ("body",)),
    "unknown escape": Body(rb'{"name": "\x41"}', ("body",)),
    "form": Body(b"name=x", ("body",)),
    "deep": Body(b"[" * 60_000, ("body",)),
    "deep and closed": Body(b"[" * 30_000 + b"]" * 30_000, ("body",)),
    "long number": Body(b"1" * 60_000, ("body",)),
    "huge exponent": Body(b"1e999999", ("body",)),
    # What is not UTF-8
    "Latin-1": Body('{"name": "\u00fc"}'.encode("latin-1"), ("body",)),
    "overlong": Body(b'{"name": "\xc0\x80"}', ("body",)),
    "UTF-8 surrogate": Body(b'{"name": "\xed\xa0\x80"}', ("body",)),
    "byte order mark": Body(b"\xef\xbb\xbf" + ITEM, ("body",)),
    "half a byte order mark": Body(b"\xef\xbb" + ITEM, ("body",)),
    "UTF-16": Body(ITEM.decode().encode("utf-16"), ("body",)),
    "UTF-16 LE": Body(ITEM.decode().encode("utf-16-le"), ("body",)),
    "UTF-16 BE": Body(ITEM.decode().encode("utf-16-be"), ("body",)),
    "UTF-32": Body(ITEM.decode().encode("utf-32"), ("body",)),
    "UTF-32 LE": Body(ITEM.decode().encode("utf-32-le"), ("body",)),
}


@with_postgres
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_body_is_accepted_or_its_errors_are_listed(service: Service, body: Body) -> None:
    response = send(service, "POST", "/items", JSON.items(), body.bytes)
    if body.locations:
        assert locations(response) == sorted(body.locations)
    else:
        assert response.status_code == 201, response.text


DANGEROUS = {
    "prototype": rb'{"name": "x", "__proto__": {}}',
    "escaped prototype": rb'{"name": "x", "\u005f_proto__": {}}',
    "constructor": rb'{"name": "x", "constructor": {"prototype": {}}}',
    "high surrogate": rb'{"name": "\ud800"}',
    "low surrogate": rb'{"name": "a\udfffb"}',
    "surrogates in the wrong order": rb'{"name": "\udf88\ud83c"}',
    "surrogate in a member": rb'{"name": "x", "\ud800": 1}',
}
"""What some parsers refuse as a whole, and others as a member."""


@with_postgres
@pytest.mark.parametrize("body", DANGEROUS.values(), ids=DANGEROUS)
def test_dangerous_body_is_422(service: Service, body: bytes) -> None:
    response = send(service, "POST", "/items", JSON.items(), body)
    assert all(location.startswith("body") for location in locations(response))


@with_postgres
def test_errors_are_at_most_ten(service: Service) -> None:
    body = json.dumps({f"member{number}": number for number in range(3000)}).encode()
    assert 1 <= len(locations(send(service, "POST", "/items", JSON.items(), body))) <= 10


@with_postgres
def test_repeated_member_is_not_a_500(service: Service) -> None:
    response = send(service, "POST", "/items", JSON.items(), b'{"name": "x", "name": "y"}')
    assert response.status_code in {201, 422}


MEDIA_TYPES = {
    "application/json": 201,
    "application/json; charset=utf-8": 201,
    'application/json;charset="utf-8"': 201,
    "Application/JSON": 201,
    "application/json ; charset=UTF-8": 201,
    "text/plain": 415,
    "text/json": 415,
    "application/jsonx": 415,
    "application/ld+json": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "application": 415,
    "json": 415,
    ";": 415,
}


@with_postgres
@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_only_json_is_accepted(service: Service, media_type: str) -> None:
    response = send(service, "POST", "/items", [("Content-Type", media_type)], ITEM)
    if MEDIA_TYPES[media_type] == 415:
        assert_problem(response, 415)
    else:
        assert response.status_code == 201, response.text


@with_postgres
def test_media_type_is_checked_before_the_body(service: Service) -> None:
    assert_problem(send(service, "POST", "/items", [("Content-Type", "text/plain")], b"{"), 415)
    assert_problem(send(service, "POST", "/items", body=ITEM), 415)


@with_postgres
@pytest.mark.parametrize("second", ["application/json", "text/plain"])
def test_repeated_content_type_is_not_a_500(service: Service, second: str) -> None:
    for types in (["application/json", second], [second, "application/json"]):
        response = send(service, "POST", "/items", [("Content-Type", kind) for kind in types], ITEM)
        assert response.status_code in {201, 400, 415}


@with_postgres
@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/xml", "nonsense"])
@pytest.mark.parametrize("body", [None, b"", b"x", b"{}", b"x" * 1000], ids=["none", "empty", "text", "JSON", "long"])
def test_delete_ignores_a_body_and_its_type(service: Service, media_type: str, body: bytes | None) -> None:
    kind = [("Content-Type", media_type)]
    assert_problem(send(service, "DELETE", f"/items/{LARGEST_ID}", kind, body), 404)
    assert send(service, "DELETE", f"/items/{create(service.client)['id']}", kind, body).status_code == 204


@with_postgres
def test_body_has_at_most_64_kib(service: Service) -> None:
    body = ITEM.ljust(64 * KIBIBYTE)
    assert send(service, "POST", "/items", JSON.items(), body).status_code == 201
    assert_problem(send(service, "POST", "/items", JSON.items(), body + b" "), 413)
    assert_problem(send(service, "POST", "/items", JSON.items(), body * 20), 413)


@with_postgres
def test_body_of_unknown_length_has_the_same_limit(service: Service) -> None:
    body = ITEM.ljust(64 * KIBIBYTE)

    def post(content: bytes) -> Any:
        parts = (content[start : start + KIBIBYTE] for start in range(0, len(content), KIBIBYTE))
        return service.client.post("/items", content=parts, headers=JSON)

    assert post(body).status_code == 201
    assert_problem(post(body + b" "), 413)
