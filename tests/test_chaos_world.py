"""Imported experiments for real: programs that are started, requests that are answered, functions that are called."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from holdfast.drills.chaos import Http, Process, Python, read_experiment, real_hands, run_experiment
from holdfast.drills.chaos.world import perform
from holdfast.wire.base import NotSentError


class Counter(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/health?deep=1"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b'{"members": 3}' if found else b"")

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Counter) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_process_answers_with_its_code_and_words() -> None:
    code = "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"
    assert perform(Process(python(code))) == {"status": 3, "stdout": "out\n", "stderr": "err"}


def test_words_of_a_process_are_no_shell() -> None:
    argv = (*python("import sys; print(sys.argv[1])"), "$HOME; ls")
    assert perform(Process(argv))["stdout"] == "$HOME; ls\n"


def test_a_process_has_its_time() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        perform(Process(python("import time; time.sleep(60)"), 0.2))


def test_a_request_is_answered(address: str) -> None:
    found = perform(Http(f"{address}/health?deep=1", timeout_s=5))
    assert (found["status"], found["body"]) == (200, '{"members": 3}')
    assert perform(Http(address, timeout_s=5))["status"] == 404


def test_a_request_without_an_answer_says_so() -> None:
    with pytest.raises(NotSentError):
        perform(Http("http://127.0.0.1:1/", timeout_s=5))


def test_a_function_is_called() -> None:
    assert perform(Python("math", "hypot", {})) == 0.0


def test_a_whole_experiment(address: str, tmp_path: Any) -> None:
    mark = tmp_path / "broken"

    def touch(code: str) -> dict[str, Any]:
        return {"type": "process", "path": sys.executable, "arguments": ["-c", code, str(mark)]}

    data = {
        "title": "A file comes and goes",
        "description": "for real",
        "steady-state-hypothesis": {
            "title": "three members",
            "probes": [
                {
                    "type": "probe",
                    "name": "members",
                    "tolerance": {"type": "jsonpath", "path": "$.members", "expect": 3},
                    "provider": {"type": "http", "url": f"{address}/health?deep=1", "timeout": 5},
                }
            ],
        },
        "method": [
            {
                "type": "action",
                "name": "make it",
                "background": True,
                "provider": touch("import sys; open(sys.argv[1], 'w').close()"),
            }
        ],
        "rollbacks": [
            {"type": "action", "name": "remove it", "provider": touch("import os, sys; os.remove(sys.argv[1])")}
        ],
    }
    journal = run_experiment(read_experiment(data), real_hands())
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert [each["status"] for each in journal["run"] + journal["rollbacks"]] == ["succeeded", "succeeded"]
    assert not mark.exists()
