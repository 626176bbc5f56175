"""Load a service with `wrk`, and say how it answered."""

import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# wrk calls init() once, request() for each request, and done() at the end; latencies are in microseconds. The requests
# are put together before the first is sent: what the client does in between would count as the service's time.
_SCRIPT = """
local bodies = { %s }
local requests = {}
local following = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "%s"
function init(arguments)
  for number, body in ipairs(bodies) do
    requests[number] = wrk.format(nil, nil, nil, body)
  end
end
function request()
  following = following %% #requests + 1
  return requests[following]
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d, "errors": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class LoadError(RuntimeError):
    """The load could not be made, or the service answered with errors."""


@dataclass(frozen=True)
class Load:
    """How a service answered under load.

    Attributes:
        requests: how many were answered.
        requests_per_second: answered requests, over all connections.
        p50: median latency, in milliseconds.
        p99: 99th percentile of the latency, in milliseconds.
    """

    requests_per_second: float
    p50: float
    p99: float
    requests: int = 0


def require_wrk() -> str:
    """Return the path of wrk. Raises LoadError where it is not installed."""
    program = shutil.which("wrk")
    if program is None:
        raise LoadError(
            "The load is made by the program wrk, which is not on the PATH. Install it: apt-get install wrk"
        )
    return program


def post(
    url: str,
    bodies: Sequence[Mapping[str, Any] | str],
    *,
    seconds: int,
    connections: int = 8,
    content_type: str = "application/json",
) -> Load:
    """POST bodies in turn, as fast as the service answers, from one thread of wrk.

    Args:
        url: where to.
        bodies: JSON objects, or texts as they are.
        seconds: for how long.
        connections: how many requests are under way at once.
        content_type: of the bodies.

    Raises:
        LoadError: wrk is missing or failed, or any answer was an error.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        texts = (body if isinstance(body, str) else json.dumps(body) for body in bodies)
        script.write_text(_SCRIPT % (", ".join(f"[==[{text}]==]" for text in texts), content_type))
        command = [
            require_wrk(),
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
            url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    results = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not results:
        raise LoadError(f"wrk failed with status {done.returncode}: {done.stderr or done.stdout}")
    result = json.loads(results[0])
    if result["errors"] or not result["requests"]:
        raise LoadError(f"{result['errors']} of {result['requests']} requests to {url} failed. See the service's log.")
    return Load(
        requests_per_second=result["requests"] / result["microseconds"] * 1_000_000,
        p50=result["p50"] / 1000,
        p99=result["p99"] / 1000,
        requests=result["requests"],
    )


def bodies_of(schema: Mapping[str, Any], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return random valid bodies for a JSON schema whose properties are optional numbers and enumerations.

    Raises:
        ValueError: a property is neither of these.
    """
    source = random.Random(seed)
    return [{name: _value(schema, name, source) for name in schema["properties"]} for _ in range(count)]


def _value(schema: Mapping[str, Any], name: str, source: random.Random) -> str | float:
    field = schema["properties"][name]
    for choice in field.get("anyOf", [field]):
        if "$ref" in choice:
            choice = schema["$defs"][choice["$ref"].rpartition("/")[2]]
        if "enum" in choice:
            return str(source.choice(choice["enum"]))
        if choice.get("type") == "number":
            limits = {**field, **choice}
            return round(source.uniform(limits["minimum"], limits["maximum"]), 1)
    raise ValueError(f"Expected a number or an enumeration for the field {name!r}; found {field}.")
