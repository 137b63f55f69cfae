"""A real Prometheus that scrapes a real page of metrics: started on free ports, ended by its own pid."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from metrics_samples import State, feed, metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus"
ALERTMANAGER = ROOT / "alertmanager" / "alertmanager.yml"
WAIT_SECONDS = 60.0
SCRAPES_FED = 6
_LISTENING = re.compile(r'msg="Listening on".*?address=127\.0\.0\.1:(\d+)')


def program(name: str) -> str:
    """Return the path of a program of Debian's packages prometheus and prometheus-alertmanager."""
    found = shutil.which(name)
    if found is None:
        packages = "prometheus prometheus-alertmanager"
        pytest.fail(f"{name} is not on PATH: apt-get install -y --no-install-recommends {packages}")
    return found


def promtool(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool; its output and its return code are what a test looks at."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


class Page:
    """A page of metrics over HTTP. Each of the first scrapes finds one more call of every kind."""

    def __init__(self) -> None:
        self.state = State()
        self.metrics = metrics(self.state, gen_ai=True)
        self.accepts: list[str] = []
        self._news = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for_scrapes(self, count: int) -> None:
        """Wait until a scrape was asked for, which Prometheus does when it has stored the one before."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.accepts) > count, WAIT_SECONDS), "nobody scrapes"

    def _scraped(self, accept: str) -> tuple[bytes, str]:
        with self._news:
            if len(self.accepts) < SCRAPES_FED:
                feed(self.metrics)
                self.state.spent_pusd += 10**11
            self.accepts.append(accept)
            self._news.notify_all()
            return self.metrics.render(accept, self.metrics.readings())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scraped = self._scraped

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, content_type = scraped(self.headers.get("Accept", ""))
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet: pytest shows what matters."""

        return Handler


class _Program:
    """A process that says in its log where it listens."""

    def __init__(self, name: str, *arguments: str) -> None:
        command = [program(name), "--web.listen-address=127.0.0.1:0", *arguments]
        self._name = name
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._listening = threading.Event()
        self._port = ""
        self._reader = threading.Thread(target=self._read_log)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._reader.start()
        if not self._listening.wait(WAIT_SECONDS) or not self._port:
            self.__exit__()
            pytest.fail(f"{self._name} did not start")
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := _LISTENING.search(line):
                self._port = found[1]
                self._listening.set()
        self._listening.set()


class Alertmanager(_Program):
    """The process, on the shipped configuration."""

    def __init__(self, folder: Path) -> None:
        config, storage = f"--config.file={ALERTMANAGER}", f"--storage.path={folder}"
        super().__init__("prometheus-alertmanager", config, storage, "--cluster.listen-address=")

    @property
    def alerts(self) -> set[str]:
        """The names of the alerts it was told of."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts", timeout=WAIT_SECONDS) as answer:
            return {alert["labels"]["alertname"] for alert in json.load(answer)}


class Prometheus(_Program):
    """The process. It runs the shipped rules on the shipped scrape configuration, only faster and elsewhere."""

    def __init__(self, page: Page | str, alertmanager: Alertmanager | None, folder: Path) -> None:
        """Scrape a page, or the admin port of a daemon at this address."""
        self._page = page
        config = folder / "prometheus.yml"
        told = "127.0.0.1:9" if alertmanager is None else alertmanager.address
        config.write_text(yaml.safe_dump(_faster(page if isinstance(page, str) else page.address, told)))
        super().__init__("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}")

    @property
    def page(self) -> Page:
        assert isinstance(self._page, Page)
        return self._page

    def wait_until_ready(self) -> None:
        """It listens before it answers, and ends with its test if it never does."""
        while True:
            try:
                urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=WAIT_SECONDS).close()
                return
            except urllib.error.HTTPError as error:
                error.close()
            time.sleep(0.05)

    def ask(self, path: str, **query: str) -> Any:
        """Return `data` of an answer of the HTTP API; an error of PromQL fails with its words."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{query or path}: {json.load(error)['error']}")

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Evaluate an expression now: labels and value of each series."""
        found = self.ask("query", query=expr)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Look again after every scrape, for as long as a test may take."""
        first = len(self.page.accepts)
        while not is_so():
            scrapes = len(self.page.accepts)
            assert scrapes < first + WAIT_SECONDS, "waited in vain"
            self.page.wait_for_scrapes(scrapes)


def _faster(address: str, alertmanager: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / name) for name in config["rule_files"]]
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager]}]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [address]}]
    return config
