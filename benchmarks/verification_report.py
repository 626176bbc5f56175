"""What `benchmarks.verification` measured: ratios, targets, tables and a picture."""

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

BASELINE = "blake3 alone"
HASHING = ("verify", "sign, after building")
SHARE_OF_BLAKE3, GROWTH_MEGABYTES, TIMES_THE_PEER, OVER_DOWNLOAD = 0.80, 64.0, 20.0, 1.10
LINEAR_WITHIN, LINEAR_FROM_BYTES, PEER_BYTES = 1.25, 2**28, 2**30
SIGNATURE = "one Ed25519 signature verified"
ENVELOPE = "one envelope signed and put on disk"
# What nobody gets around, besides hashing.
LEAST = {"verify": SIGNATURE, "sign, after building": ENVELOPE}
DOWNLOAD, BOTH, VERIFY = "download alone", "download of the package and its envelope", "verify from S3"

Times = dict[str, list[float]]


@dataclass(frozen=True)
class Results:
    """What was measured of a package of one size.

    Attributes:
        size: of the file in the package, in bytes.
        times: seconds of each round, by what was done with the local file.
        peers: the same of `model_signing` ("sign" and "verify"), by how it ran.
        downloads: the same of what was done with the S3 server; empty where it was left out.
        growth: of the anonymous memory at its peak, in megabytes (10^6 bytes), by what was done.
    """

    size: int
    times: Times
    peers: Mapping[str, Times]
    downloads: Times
    growth: Mapping[str, float]

    @property
    def label(self) -> str:
        """The size, for people."""
        return f"{self.size / 2**30:g} GiB" if self.size >= 2**30 else f"{self.size / 2**20:g} MiB"

    def share(self, name: str) -> float:
        """Return the speed of what was done with the local file, as a share of blake3's in the same round."""
        return ratio(self.times[BASELINE], self.times[name])

    def most(self, name: str) -> float:
        """Return the share of blake3's speed that nobody could exceed who hashes, and does what else has to be."""
        alone, rest = self.times[BASELINE], self.times[LEAST[name]]
        return ratio(alone, [sum(both) for both in zip(alone, rest, strict=True)])

    def times_the_peer(self, kind: str, names: tuple[str, str] = HASHING) -> float:
        """Return how many times as fast as `model_signing` both are together, by default signing and verifying."""
        theirs = sum(statistics.median(self.peers[kind][what]) for what in ("sign", "verify"))
        return theirs / sum(statistics.median(self.times[name]) for name in names)

    def over_download(self, name: str = VERIFY) -> float:
        """Return how many times as long something takes with S3 as downloading the package into a temporary file."""
        return ratio(self.downloads[name], self.downloads[DOWNLOAD])

    def seconds_per_gibibyte(self, name: str) -> float:
        """Return the median time for a gibibyte, of what was done with the local file."""
        return statistics.median(self.times[name]) * 2**30 / self.size


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the ratios of two series, of the same round each."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class Check:
    """One target: what it is of, what was expected and found, and whether it is reached.

    It is neither reached nor missed (None) where nobody could reach it.
    """

    what: str
    expected: str
    found: str
    reached: bool | None

    @property
    def verdict(self) -> str:
        """Say whether it is reached."""
        return {True: "yes", False: "NO", None: "cannot be"}[self.reached]


def checks(results: Sequence[Results]) -> list[Check]:
    """Return every target that these results tell of."""
    found: list[Check] = []
    for result in results:
        for name in HASHING:
            share, most = result.share(name), result.most(name)
            found.append(
                Check(
                    f"{result.label}: {name}, of blake3's speed",
                    f"at least {SHARE_OF_BLAKE3:.0%}",
                    f"{share:.0%}; with {LEAST[name]} and nothing else {most:.0%}",
                    True if share >= SHARE_OF_BLAKE3 else None if most < SHARE_OF_BLAKE3 else False,
                )
            )
        for name, megabytes in result.growth.items():
            found.append(
                Check(
                    f"{result.label}: {name}, growth of anonymous memory",
                    f"less than {GROWTH_MEGABYTES:g} MB",
                    f"{megabytes:.0f} MB",
                    megabytes < GROWTH_MEGABYTES,
                )
            )
        if result.downloads:
            over, least = result.over_download(), result.over_download(BOTH)
            found.append(
                Check(
                    f"{result.label}: verify from S3, against downloading alone",
                    f"at most {OVER_DOWNLOAD - 1:.0%} more",
                    f"{over - 1:+.0%}; {BOTH} {least - 1:+.0%}",
                    True if over <= OVER_DOWNLOAD else None if least > OVER_DOWNLOAD else False,
                )
            )
        if result.size == PEER_BYTES and result.peers:
            kind = list(result.peers)[-1]
            times, most = result.times_the_peer(kind), result.times_the_peer(kind, (BASELINE, BASELINE))
            found.append(
                Check(
                    f"{result.label}: against model_signing, {kind}",
                    f"{TIMES_THE_PEER:g} times as fast",
                    f"{times:.1f} times; blake3 alone {most:.1f} times",
                    True if times >= TIMES_THE_PEER else None if most < TIMES_THE_PEER else False,
                )
            )
    large = [result for result in results if result.size >= LINEAR_FROM_BYTES]
    for name in HASHING if len(large) > 1 else ():
        spread = [result.seconds_per_gibibyte(name) for result in large]
        apart = max(spread) / min(spread)
        found.append(
            Check(
                f"{name}: seconds for each GiB, from {large[0].label} to {large[-1].label}",
                f"within {LINEAR_WITHIN - 1:.0%}",
                f"{apart - 1:.0%} apart",
                apart <= LINEAR_WITHIN,
            )
        )
    return found


def missed_targets(results: Sequence[Results]) -> list[str]:
    """Return what is not reached, one sentence each."""
    return [
        f"{check.what}: {check.found}; expected {check.expected}."
        for check in checks(results)
        if check.reached is False
    ]


def print_report(results: Sequence[Results], has_sha: bool) -> None:
    """Print the measurements with their ratios, and the targets."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    sha = "has instructions for SHA-256" if has_sha else "has no instructions for SHA-256"
    console.print(f"{os.cpu_count()} cores; the processor {sha}. Medians of {len(results[0].times[BASELINE])} rounds.")
    table = Table()
    for heading in ("size", "", "milliseconds", "GiB/s", "against"):
        table.add_column(heading, justify="left" if heading in ("", "against") else "right", no_wrap=True)
    for result in results:
        for name, values in result.times.items():
            against = f"{result.share(name):.0%} of blake3's speed"
            _add(table, result, name, values, "" if name in LEAST.values() else against)
        for kind, peer in result.peers.items():
            faster = f"ours is {result.times_the_peer(kind):.1f} times as fast"
            for what, values in peer.items():
                _add(table, result, f"model_signing, {what}, {kind}", values, faster)
        for name, values in result.downloads.items():
            over = ratio(values, result.downloads[DOWNLOAD]) - 1
            _add(table, result, name, values, f"{over:+.0%} of the time of downloading alone")
        table.add_section()
    console.print(table)
    targets = Table()
    for heading in ("target", "expected", "found", "reached"):
        targets.add_column(heading, no_wrap=True)
    for check in checks(results):
        targets.add_row(check.what, check.expected, check.found, check.verdict)
    console.print(targets)


def _add(table: Table, result: Results, name: str, values: Sequence[float], against: str) -> None:
    seconds = statistics.median(values)
    table.add_row(result.label, name, f"{seconds * 1e3:,.2f}", f"{result.size / 2**30 / seconds:.2f}", against)


def draw(results: Sequence[Results], path: Path) -> None:
    """Draw seconds against size, both in powers of ten, into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    series: dict[str, tuple[list[float], list[float]]] = {}
    for result in results:
        peers = {f"model_signing, {what}, {kind}": v for kind, peer in result.peers.items() for what, v in peer.items()}
        for name, values in {**result.times, **peers, **result.downloads}.items():
            if name not in LEAST.values():
                sizes, seconds = series.setdefault(name, ([], []))
                sizes.append(result.size / 2**20)
                seconds.append(statistics.median(values))
    for name, (sizes, seconds) in series.items():
        axes.plot(sizes, seconds, marker="o", label=name, linestyle="--" if name.startswith("blake3") else "-")
    axes.set(xscale="log", yscale="log", xlabel="size of the package (MiB)", ylabel="seconds")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize="small")
    FigureCanvasAgg(figure).print_png(str(path))
