"""GET / with FastAPI: request ids, an access log and a histogram by the plugins that its users commonly add."""

import logging.config
import os

import uvicorn
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from prometheus_client import start_http_server
from prometheus_fastapi_instrumentator import Instrumentator

LOGGING = {
    "version": 1,
    "filters": {"request_id": {"()": "asgi_correlation_id.CorrelationIdFilter"}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s %(correlation_id)s",
        },
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "json",
            "filters": ["request_id"],
        },
    },
    "root": {"level": "INFO", "handlers": ["stdout"]},
}

app = FastAPI()
app.add_middleware(CorrelationIdMiddleware, header_name="X-Request-ID")
Instrumentator().instrument(app)


@app.get("/")
async def service() -> dict[str, str]:
    return {"name": "baseline", "version": "dev"}


if __name__ == "__main__":
    logging.config.dictConfig(LOGGING)
    start_http_server(int(os.environ["METRICS_PORT"]))
    uvicorn.run(app, port=int(os.environ["PORT"]), log_config=None)
