"""What happens later: state changes that fall due, the pace they have, and the version of everything."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable

# How the cloud behaves; changed with POST /tagship/config.
config: dict = {
    # "runs": with real time. "stands": it goes on with POST /tagship/skip alone.
    "clock": "runs",
    # "processes": instances run when the instance manager says so. "timer": after boot_secs.
    "instances": "processes",
    "boot_secs": 1.0,
    "shutdown_secs": 0.5,
    # "probes": targets are what the balancer's probes saw. "timer": healthy after healthy_secs.
    "targets": "probes",
    "healthy_secs": 1.0,
    # [{"subnet": id or "*", "type": type or "*", "code": AWS's code, "available": how many still fit}]
    "capacity": [],
    # AWS's default quota of targets a load balancer.
    "target_limit": 1000,
    # AWS's default quota is 5 addresses a Region; null is no limit.
    "address_limit": None,
}

_version = itertools.count(1)
version: int = next(_version)
_due: list[tuple[float, int, Callable[[], None]]] = []
_began = time.monotonic()
# How far POST /tagship/skip has put the clock forward, in seconds.
_ahead = 0.0
_order = itertools.count()
_lock = threading.RLock()


def configure(changes: dict) -> None:
    """Takes over the given keys; an unknown one is a ValueError."""
    unknown = sorted(set(changes) - set(config))
    if unknown:
        raise ValueError(f"unknown keys {unknown}, known are {sorted(config)}")
    config.update(changes)
    changed()


def changed() -> None:
    """Says that a snapshot taken from now on differs from those before."""
    global version
    version = next(_version)


def now() -> float:
    """Seconds since some moment, as far as anything here depends on time."""
    return (_began if config["clock"] == "stands" else time.monotonic()) + _ahead


def skip(secs: float) -> None:
    """Puts the clock forward: what would have fallen due by then does so with the next request."""
    global _ahead
    with _lock:
        _ahead += secs


def after(secs: float, action: Callable[[], None]) -> None:
    """Has `action` done by the first request that comes `secs` from now or later."""
    with _lock:
        heapq.heappush(_due, (now() + secs, next(_order), action))


def advance() -> None:
    """Does all that has fallen due. Every request begins with it, so none sees the past."""
    with _lock:
        while _due and _due[0][0] <= now():
            _, _, action = heapq.heappop(_due)
            action()
            changed()
