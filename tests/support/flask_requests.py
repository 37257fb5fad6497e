"""Tests send these requests to the Flask app, and check the form of every problem."""

import io
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from .flask_serving import ROOT

URN = "urn:kneeoa:error:"


def grade(client: FlaskClient, *films: bytes, names: tuple[str, ...] = ()) -> TestResponse:
    return post(client, "/api/v1/grade", *films, names=names)


def post(client: FlaskClient, path: str, *films: bytes, names: tuple[str, ...] = ()) -> TestResponse:
    names = names or tuple(f"{number}.png" for number in range(len(films)))
    parts = [(io.BytesIO(film), name) for film, name in zip(films, names, strict=True)]
    if path.startswith("/api/"):
        return client.post(path, data={"film": parts}, content_type="multipart/form-data")
    return submit(client, path, {"film": parts})


def submit(client: FlaskClient, path: str, fields: Mapping[str, object], **options: Any) -> TestResponse:
    """Return a form of the app's pages, filled in and sent as a browser does."""
    token = token_of(client.get("/").text)
    return client.post(path, data={"csrf_token": token, **fields}, content_type="multipart/form-data", **options)


def token_of(page: str) -> str:
    """Return the token of the first form of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def result_address(page: str) -> str:
    """Return the address at which the result of a page can be opened again."""
    found = re.search(r'href="(/results/[^/"]+)/report.pdf"', page)
    assert found
    return found[1]


class Visitor:
    """A visitor is a browser at a running server, with its cookie and the token of its forms."""

    def __init__(self, address: str):
        self._address, self._session = address, requests.Session()
        self._token = token_of(self._session.get(f"{address}/", timeout=60).text)

    def submit(self, path: str, fields: Mapping[str, str] = MappingProxyType({}), **options: Any) -> requests.Response:
        """Return the response to the form itself, without the page that it redirects to."""
        return self._session.post(
            self._address + path, {"csrf_token": self._token, **fields}, timeout=60, allow_redirects=False, **options
        )


def assert_problem(response: TestResponse | requests.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json() if isinstance(response, requests.Response) else response.get_json(force=True)
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert (problem["type"], problem["status"]) == (URN + code, status)
    assert_discreet(response.text)


def assert_discreet(text: str) -> None:
    """No trace of the server's insides."""
    assert "Traceback" not in text
    assert str(ROOT) not in text
    assert "site-packages" not in text
