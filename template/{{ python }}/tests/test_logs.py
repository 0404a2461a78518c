import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from app.logs import OncePerSecond, TextFormatter, configure_logging, request_id


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logging.getLogger("httpx"), "disabled", True)
    root = logging.getLogger()
    level, handlers, hook = root.level, root.handlers, sys.excepthook
    root.handlers = []
    yield
    root.level, root.handlers, sys.excepthook = level, handlers, hook
    logging.captureWarnings(capture=False)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    logging.getLogger("any").warning("Beware of %s", "the\ndog", extra={"color_message": "red", "teeth": 42})
    [line] = lines(capsys)
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {"level": "warning", "message": "Beware of the\ndog", "teeth": 42}


def test_a_line_has_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("any").exception("It failed.")
    [line] = lines(capsys)
    assert "ValueError: broken" in line["exception"]


async def test_a_request_is_a_line(capsys: pytest.CaptureFixture[str], client: AsyncClient) -> None:
    configure_logging("info")
    await client.get("/nowhere?secret=1", headers={"X-Request-ID": "one"})
    [line] = lines(capsys)
    del line["time"]
    assert line.pop("duration") >= 0
    assert line == {
        "level": "info",
        "message": "GET /nowhere",
        "request_id": "one",
        "method": "GET",
        "route": "unmatched",
        "path": "/nowhere",
        "status": 404,
    }


async def test_a_failure_is_an_error_with_its_traceback(
    capsys: pytest.CaptureFixture[str], app: FastAPI, client: AsyncClient
) -> None:
    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("broken")

    configure_logging("info")
    await client.get("/fail", headers={"X-Request-ID": "one"})
    failure, request = lines(capsys)
    assert "RuntimeError: broken" in failure["exception"]
    assert (failure["level"], failure["request_id"]) == ("error", "one")
    assert (request["level"], request["status"]) == ("error", 500)


async def test_the_id_of_a_request_ends_with_it(client: AsyncClient) -> None:
    await client.get("/", headers={"X-Request-ID": "one"})
    assert request_id.get() is None


async def test_probes_are_debug(capsys: pytest.CaptureFixture[str], client: AsyncClient) -> None:
    configure_logging("info")
    await client.get("/livez")
    assert lines(capsys) == []


def test_text_has_the_fields_too() -> None:
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "Hello", "teeth": 42})
    assert TextFormatter().format(record).endswith(" INFO    Hello teeth=42")


def test_repeats_are_dropped_for_a_second() -> None:
    limit = OncePerSecond()
    records = [logging.makeLogRecord({"msg": f"Failed\n{number}", "created": 1e9 + number / 2}) for number in range(4)]
    assert [limit.filter(record) for record in records] == [True, False, True, False]
