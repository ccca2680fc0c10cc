"""make tune: PostgreSQL's sizes for this machine, as lines for .env, by the rules of PGTune.

PGTune (pgtune.leopard.in.ua), kind "mixed": a quarter of the memory for shared_buffers, three
quarters for effective_cache_size, a sixteenth for maintenance_work_mem, and for work_mem half of
what remains when each connection and each worker takes it three times.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from local.instance import ROOT, read_dotenv
from local.postgres import variable
from local.work import say

DESCRIPTION = "PostgreSQL's sizes for this machine, by the rules of PGTune, as lines for .env."
MEGABYTE = 1 << 20
UNITS = {"MB": 1, "GB": 1 << 10}
SMALLEST = 256  # MB: PGTune says of less that its rules don't fit
OTHERS_SHARE = 2  # Redis, Centrifugo and our services have the other half of the machine
MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of a control group, v2 and v1
LARGEST_MAINTENANCE = 2 << 10  # MB: more than one vacuum may run
SMALLEST_WORK = 4  # MB, the default
DEFAULT_WORKERS, DEFAULT_WORKERS_PER_GATHER = 8, 2
FEWEST_CORES, MOST_WORKERS_PER_GATHER = 4, 4  # below, the defaults stay; above, more bring nothing


def sizes(memory: int, cores: int, connections: int) -> dict[str, str]:
    """Settings for a PostgreSQL that may have so many megabytes and cores."""
    shared_buffers = memory // 4
    many = cores >= FEWEST_CORES
    uses = 3 * (connections + (cores if many else DEFAULT_WORKERS))
    per_gather = min((cores + 1) // 2, MOST_WORKERS_PER_GATHER)
    return {
        "shared_buffers": f"{shared_buffers}MB",
        "effective_cache_size": f"{memory * 3 // 4}MB",
        "maintenance_work_mem": f"{min(memory // 16, LARGEST_MAINTENANCE)}MB",
        "work_mem": f"{max((memory - shared_buffers) // uses // 2, SMALLEST_WORK)}MB",
        "max_parallel_workers_per_gather": f"{per_gather if many else DEFAULT_WORKERS_PER_GATHER}",
    }


def machine_memory() -> int:
    """Megabytes that processes here may have: the machine's, or less where a container says so."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in MEMORY_LIMITS:
        limit = Path("/sys/fs/cgroup", name)
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            found.append(int(text))
    return min(found) // MEGABYTE


def megabytes(text: str) -> int:
    """4GB or 4096MB; raises ValueError."""
    found = re.fullmatch(r"([0-9]+)(MB|GB)", text)
    if not found or (size := int(found[1]) * UNITS[found[2]]) < SMALLEST:
        raise ValueError(f"{text} isn't a size of at least {SMALLEST}MB, such as 4GB")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(prog="make tune ARGS=…", description=DESCRIPTION)
    parser.add_argument("--memory", type=megabytes, help="PostgreSQL's; default: half of all")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    memory = given.memory or max(machine_memory() // OTHERS_SHARE, SMALLEST)
    connections = read_dotenv(ROOT / ".env").get(variable("max_connections"), "100")
    say(f"# PostgreSQL with {memory} MB and {given.cores} cores, by PGTune's rules (mixed load)")
    say(f"POSTGRES_MEMORY={memory}m")
    for name, value in sizes(memory, given.cores, int(connections)).items():
        say(f"{variable(name)}={value}")


if __name__ == "__main__":
    main()
