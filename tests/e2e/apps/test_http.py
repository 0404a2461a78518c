"""HTTP as every route speaks it."""

import re
import socket

import httpx
import pytest

from tests.e2e.apps.client import KIBIBYTE, LARGEST_ID, assert_problem, media_type, send, send_raw
from tests.e2e.apps.markers import with_database, with_postgres
from tests.e2e.apps.project import Project, Service

ROUTES = ("/", "/livez", "/readyz")


def test_root_returns_name_and_version(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert media_type(response) == "application/json"
    assert response.json() == {"name": "shop", "version": "1.2.3-test"}


def test_probes_return_ok(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/nowhere", "/items/1/2", "/%00", "/LIVEZ", "/livez;x", "/favicon.ico"])
@with_postgres
def test_unknown_path_is_404(service: Service, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert_problem(send(service, method, path), 404)


@pytest.mark.parametrize("path", ["/livez/", "/livez%2f", "//livez", "//", "/./livez", "/x/../livez", "/items/"])
@with_postgres
def test_path_that_is_not_canonical_is_404_or_redirected(service: Service, path: str) -> None:
    response = send(service, "GET", path)
    if not response.has_redirect_location:
        assert_problem(response, 404)


@pytest.mark.parametrize("path", ["/%zz", "/livez%", "/%c3%28"])
@with_postgres
def test_path_that_cannot_be_decoded_is_refused(service: Service, path: str) -> None:
    assert send(service, "GET", path).status_code in {400, 404}


@pytest.mark.parametrize("query", ["x=%zz", "x=%", "%c3%28=1", "x=1&x=2", "=", "&&", "a[b]=1", "x" * 4000])
@with_postgres
def test_routes_without_parameters_ignore_the_query(service: Service, query: str) -> None:
    assert send(service, "GET", f"/livez?{query}").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@with_postgres
def test_method_that_is_not_allowed_is_405(client: httpx.Client, method: str) -> None:
    for path in (*ROUTES, "/openapi.json", "/livez?x=1"):
        response = client.request(method, path)
        assert_problem(response, 405)
        assert allowed(response) == {"GET", "HEAD"}


@with_database
def test_allow_lists_every_method_of_a_path(client: httpx.Client) -> None:
    items, item = client.put("/items"), client.put("/items/1")
    assert_problem(items, 405)
    assert_problem(item, 405)
    assert allowed(items) == {"GET", "HEAD", "POST"}
    assert allowed(item) == {"DELETE", "GET", "HEAD"}


def allowed(response: httpx.Response) -> set[str]:
    """Return the methods that Allow lists."""
    return {method.strip() for method in response.headers["Allow"].split(",")}


def test_head_is_get_without_a_body(service: Service, project: Project) -> None:
    paths = [*ROUTES, "/nowhere"]
    if project.database != "none":
        paths += ["/openapi.json", "/items", "/items?limit=0", "/items/0", f"/items/{LARGEST_ID}"]
    for path in paths:
        get, head = service.client.get(path), service.client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert media_type(head) == media_type(get), path


@pytest.mark.parametrize("given", ["x", "aZ0._-", "x" * 128])
@with_postgres
def test_valid_request_id_is_kept(client: httpx.Client, given: str) -> None:
    for path in ("/", "/nowhere", "/items?limit=x"):
        assert client.get(path, headers={"X-Request-ID": given}).headers.get_list("X-Request-ID") == [given]


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "a:b", "caf\u00e9", "a,b"])
@with_postgres
def test_invalid_request_id_is_replaced(client: httpx.Client, given: str) -> None:
    for path in ("/", "/nowhere"):
        response = client.get(path, headers={b"X-Request-ID": given.encode("latin-1")})
        [replaced] = response.headers.get_list("X-Request-ID")
        assert replaced != given
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", replaced)


@with_postgres
def test_request_ids_are_unique(client: httpx.Client) -> None:
    assert len({client.get("/").headers["X-Request-ID"] for _ in range(20)}) == 20


@with_postgres
def test_body_limit_holds_for_every_route(service: Service) -> None:
    body = b"x" * (64 * KIBIBYTE + 1)
    for method, path in (
        ("GET", "/"),
        ("GET", "/livez"),
        ("GET", "/items"),
        ("POST", "/items"),
        ("DELETE", "/items/1"),
    ):
        response = send(service, method, path, [("Content-Type", "application/json")], body)
        assert_problem(response, 413)


@with_postgres
def test_large_body_is_refused_before_it_is_sent(service: Service) -> None:
    fields = ["Host: x", "Content-Type: application/json", "Content-Length: 70000", "Expect: 100-continue"]
    head = "\r\n".join(["POST /items HTTP/1.1", *fields, "", ""])
    assert b"HTTP/1.1 413 " in send_raw(service, head.encode())


NOT_HTTP = {
    "words": b"Hello, how are you?\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\0" * 192,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9,
    "version": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "negative length": b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length and chunks": b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    "unknown encoding": b"POST /items HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: x\r\nX-Field: a\0b\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "large header": b"GET / HTTP/1.1\r\nHost: x\r\nX-Field: " + b"x" * 2_000_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Field: x\r\n" * 50_000 + b"\r\n",
    "long target": b"GET /" + b"x" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "TRACE": b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target": b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP)
@with_postgres
def test_unusual_bytes_never_lead_to_a_500(service: Service, data: bytes) -> None:
    response = send_raw(service, data)
    assert not response or (response.startswith(b"HTTP/1.") and response.split()[1] != b"500"), response[:200]
    assert service.client.get("/livez").status_code == 200


def test_both_ports_listen_on_all_interfaces(service: Service) -> None:
    addresses = ["127.0.0.2", *(["::1"] if socket.has_dualstack_ipv6() else [])]
    for address in addresses:
        for port in (service.port, service.metrics_port):
            socket.create_connection((address, port), timeout=5).close()
