"""The ASGI app as a function of AWS Lambda, by Mangum: answers three events on the standard output, as JSON."""

import json

from mangum import Mangum

from tests.servers.apps import KEY
from tests.servers.asgi_app import app
from tests.servers.client import PATH, body


def event(content: bytes, key: str = KEY) -> dict[str, object]:
    """Return a request as API Gateway puts it, in its format 2.0."""
    http = {"method": "POST", "path": PATH, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "host": "localhost"}
    place = {"version": "2.0", "routeKey": "$default", "rawPath": PATH, "rawQueryString": ""}
    return {**place, "headers": headers, "requestContext": {"http": http}, "body": content.decode(), "isBase64Encoded": False}


if __name__ == "__main__":
    handler = Mangum(app, lifespan="off")
    events = (event(body(text="one two")), event(body(text="one two", stream=True)), event(body(), "sk-other"))
    print(json.dumps([handler(each, {}) for each in events]))
