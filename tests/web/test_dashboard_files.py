"""The dashboard's files: compressed as the browser takes them, kept for ever or asked for anew, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import Response

from proxy.web.operator.dashboard import page

DATA = "http://127.0.0.1:8655"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    for name in ("index.html", "assets/index-a1.js", "assets/style-b2.css", "assets/icon-c3.svg"):
        (tmp_path / name).write_text(f"plain {name}")
        (tmp_path / f"{name}.br").write_text(f"br {name}")
        (tmp_path / f"{name}.gz").write_text(f"gz {name}")
    (tmp_path / "assets" / "index-a1.js.map").write_text("what nobody asked for")
    return tmp_path


def got(folder: Path, path: str, **headers: str) -> Response | None:
    found = page(make_mocked_request("GET", path, {"Host": "localhost", **headers}), DATA, folder)
    assert found is None or isinstance(found, Response)
    return found


ACCEPTED = [
    ("", "plain", None),
    ("gzip, deflate, br, zstd", "br", "br"),
    ("GZIP", "gz", "gzip"),
    ("br;q=0, gzip;q=0.5", "gz", "gzip"),
    ("br;q=0.000, gzip; q=0", "plain", None),
    ("identity", "plain", None),
]


@pytest.mark.parametrize(("accept", "form", "encoding"), ACCEPTED)
def test_a_file_comes_in_a_form_the_browser_takes(folder: Path, accept: str, form: str, encoding: str | None) -> None:
    found = got(folder, "/assets/index-a1.js", **{"Accept-Encoding": accept})
    assert found is not None
    assert found.text == f"{form} assets/index-a1.js"
    assert found.headers.get("Content-Encoding") == encoding
    assert found.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (found.content_type, found.headers["Vary"]) == ("text/javascript", "Accept-Encoding")


def test_the_page_is_asked_for_anew_and_lets_nothing_in_from_elsewhere(folder: Path) -> None:
    found = got(folder, "/")
    assert found is not None and (found.status, found.headers["Cache-Control"]) == (200, "no-cache")
    rules = dict(rule.split(" ", 1) for rule in found.headers["Content-Security-Policy"].split("; "))
    assert {rules[name] for name in ("default-src", "frame-ancestors", "base-uri", "form-action")} == {"'none'"}
    assert rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["connect-src"] == f"'self' {DATA}"
    again = got(folder, "/", **{"If-None-Match": found.headers["ETag"]})
    assert again is not None and (again.status, again.body) == (304, None)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/none-z9.js",
        "/assets/index-a1.js.map",
        "/assets/index-a1.js.br",
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/assets/a/index-a1.js",
        "/assets/.js",
    ],
)
def test_nothing_else_is_there(folder: Path, path: str) -> None:
    assert got(folder, path) is None


def test_without_the_page_it_says_how_to_get_it(tmp_path: Path) -> None:
    found = got(tmp_path, "/")
    assert found is not None and found.text is not None
    assert (found.status, found.content_type) == (503, "text/html")
    assert "make dashboard" in found.text
    assert got(tmp_path, "/assets/index-a1.js") is None
