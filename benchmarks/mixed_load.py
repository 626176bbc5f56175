"""Mixed load by `wrk`: requests that should be served and requests that should be refused, every answer checked."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import LoadError, require_wrk

# One thread has one connection, so that an answer belongs to the thread's last request. Each thread keeps to its own
# rate: it is due by a clock, and waits in whole milliseconds, as wrk does, so that it is right on average.
_SCRIPT = """
local ffi = require("ffi")
ffi.cdef[[
  typedef struct { long seconds; long nanoseconds; } soak_time;
  int clock_gettime(int clock, soak_time *now);
]]
local clock = ffi.new("soak_time")
local function now()
  ffi.C.clock_gettime(1, clock)
  return tonumber(clock.seconds) + tonumber(clock.nanoseconds) / 1e9
end
local cases = %(cases)s
local threads = {}
function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end
local last, due, pause = 0, 0, %(pause)s
local answered = {}
function init()
  -- Lua counts each thread's own, and done() reads them by name.
  right, wrong, failed, unexpected, slowest, example = 0, 0, 0, 0, 0, ""
  last = number * 7
  due = now()
end
function delay()
  due = due + pause
  return math.max(0, math.floor((due - now()) * 1000))
end
function request()
  last = last %% #cases + 1
  return wrk.format(cases[last].method, cases[last].path, cases[last].headers, cases[last].body)
end
function response(status, headers, body)
  local case = cases[last]
  if status == 500 then failed = failed + 1 end
  if status ~= case.status then
    unexpected = unexpected + 1
    example = case.name .. ": status " .. status
  elseif case.answer and body ~= case.answer then
    wrong = wrong + 1
    example = case.name .. ": " .. string.sub(body, 1, 200)
  else
    right = right + 1
  end
end
function done(summary, latency, requests)
  local sums = { right = 0, wrong = 0, failed = 0, unexpected = 0 }
  local example = ""
  for _, thread in ipairs(threads) do
    for name, sum in pairs(sums) do sums[name] = sum + thread:get(name) end
    if thread:get("example") ~= "" then example = thread:get("example") end
  end
  local errors = summary.errors
  local quoted = string.gsub(string.gsub(example, '[%%c\\\\]', '?'), '"', "'")
  io.write(string.format(
    '\\nRESULT {"right": %%d, "wrong": %%d, "failed": %%d, "unexpected": %%d, "broken": %%d, "microseconds": %%d, ' ..
    '"p50": %%d, "p99": %%d, "example": "%%s"}\\n',
    sums.right, sums.wrong, sums.failed, sums.unexpected, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99), quoted))
end
"""


@dataclass(frozen=True)
class Case:
    """A request, and what it must get.

    Attributes:
        name: for people.
        method: of HTTP.
        path: with its slash.
        headers: beside the length and the host.
        body: empty for none.
        status: of the answer.
        answer: the answer's whole body; None where any will do.
    """

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: str
    status: int
    answer: str | None = None


@dataclass(frozen=True)
class Checked:
    """How the answers were.

    Attributes:
        right: had the status and body that they must have.
        wrong: had the status, and another body.
        failed: had the status 500.
        unexpected: had another status than they must have, be it 500.
        broken: connections that could not be made, or broke, or waited too long.
        microseconds: that it took.
        p50: median latency, in microseconds, waiting for the turn not counted.
        p99: 99th percentile of it.
        example: of an answer that was not right; empty where all were.
    """

    right: int
    wrong: int
    failed: int
    unexpected: int
    broken: int
    microseconds: int
    p50: int
    p99: int
    example: str


def send(url: str, cases: Sequence[Case], *, seconds: int, rate: float, connections: int = 8) -> Checked:
    """Send the requests in turn at a rate, and check every answer.

    Args:
        url: of the service, without a slash at its end.
        cases: what is sent.
        seconds: for how long.
        rate: requests per second, over all connections.
        connections: how many there are; each has a thread of wrk.

    Raises:
        LoadError: wrk is missing or failed.
    """
    script = _SCRIPT % {"cases": _lua([_fields(case) for case in cases]), "pause": repr(connections / rate)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mixed.lua"
        path.write_text(script)
        command = [require_wrk(), f"-t{connections}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
        done = subprocess.run([*command, "-s", str(path), url], capture_output=True, text=True, check=False)
    results = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not results:
        raise LoadError(f"wrk failed with status {done.returncode}: {(done.stderr or done.stdout)[-2_000:]}")
    return Checked(**json.loads(results[0]))


def _fields(case: Case) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": case.name,
        "method": case.method,
        "path": case.path,
        "headers": dict(case.headers),
        "body": case.body,
        "status": case.status,
    }
    return fields if case.answer is None else {**fields, "answer": case.answer}


def _lua(value: object) -> str:
    """Write a value as Lua."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{_lua(name)}]={_lua(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(_lua, value)) + "}"
    if isinstance(value, str):
        # Every byte as Lua's decimal escape, whatever it is.
        return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03}" for b in value.encode()) + '"'
    return repr(value)
