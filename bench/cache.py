"""`python -m bench.cache [--json F] [--traces DIR]`: hit ratios on real traces against LRU and S3-FIFO.

The rivals are written here from their descriptions and share no code with the engine: LRU is an OrderedDict, S3-FIFO
follows algorithm 1 of Yang et al., SOSP 2023, with deques. Ours runs as it serves: byte budget, Auto, ghost caches.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trimtab_engine.cache.response_cache import ResponseCache, entry_bytes
from trimtab_engine.jobs import Answer

SHARES = (0.001, 0.01, 0.1)
FLOOR_POINTS = -1.0
TRACES = ("cache_cache2k_web07.csv.gz", "cache_cache2k_orm_busy.csv.gz", "llm_mooncake_conversation.jsonl.gz")
_ANSWER = Answer(bytes(1536), 1, "1/base")  # one vector of 384 float32


@dataclass(frozen=True)
class Row:
    """Hit ratios at one size of one trace; `ratio` = ours against the better rival's."""

    measure: str
    trimtab: float
    best_rival: float
    rival: str
    ratio: float
    difference_points: float
    floor_points: float
    met: bool
    lru: float
    s3fifo: float
    entries: int
    microseconds_per_request: float
    rule_changes: int


def read_trace(path: Path) -> list[int]:
    """Return the keys in order of access; of the conversation trace, the prefix blocks of each request in turn."""
    with gzip.open(path, "rt") as lines:
        if path.name.endswith(".jsonl.gz"):
            return [int(block) for line in lines for block in json.loads(line)["hash_ids"]]
        next(lines)
        return [int(line) for line in lines]


def lru_hits(keys: Iterable[int], size: int) -> int:
    """Count the hits of a plain LRU cache of `size` entries."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in keys:
        if key in held:
            hits += 1
            held.move_to_end(key)
            continue
        if len(held) >= size:
            held.popitem(last=False)
        held[key] = None
    return hits


class ReferenceS3Fifo:
    """S3-FIFO as published: 10 % small queue, 90 % main queue, a ghost queue as long as the main one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.small_size = max(1, size // 10)
        self.main_size = max(1, size - self.small_size)
        self.uses: dict[int, int] = {}
        self.small: deque[int] = deque()
        self.main: deque[int] = deque()
        self.ghosts: OrderedDict[int, None] = OrderedDict()

    def access(self, key: int) -> bool:
        """Look a key up and, where it is missing, insert it. Returns whether it was there."""
        if key in self.uses:
            self.uses[key] = min(3, self.uses[key] + 1)
            return True
        while len(self.uses) >= self.size:
            if len(self.small) >= self.small_size or not self.main:
                self._evict_small()
            else:
                self._evict_main()
        if key in self.ghosts:
            del self.ghosts[key]
            self.main.append(key)
        else:
            self.small.append(key)
        self.uses[key] = 0
        return False

    def _evict_small(self) -> None:
        while self.small:
            key = self.small.popleft()
            if self.uses[key] > 1:
                self.main.append(key)
                self.uses[key] = 0
                if len(self.main) > self.main_size:
                    self._evict_main()
                continue
            del self.uses[key]
            self.ghosts[key] = None
            if len(self.ghosts) > self.main_size:
                self.ghosts.popitem(last=False)
            return

    def _evict_main(self) -> None:
        while self.main:
            key = self.main.popleft()
            if self.uses[key] == 0:
                del self.uses[key]
                return
            self.uses[key] -= 1
            self.main.append(key)


def our_hits(keys: Sequence[int], size: int) -> tuple[int, float, int]:
    """Return the hits of the engine's cache, its microseconds of CPU per request, and how often its rule changed."""
    inputs = {key: hashlib.blake2b(key.to_bytes(8, "big"), digest_size=16).digest() for key in set(keys)}
    hashes = {key: int.from_bytes(digest[:8], "big") for key, digest in inputs.items()}
    cache = ResponseCache(size * entry_bytes(_ANSWER))
    hits = changes = 0
    rule = cache.rule
    began = time.process_time()
    for key in keys:
        cache.see(hashes[key])
        if cache.get(inputs[key]) is not None:
            hits += 1
        else:
            cache.put(inputs[key], _ANSWER)
        if cache.rule is not rule:
            rule, changes = cache.rule, changes + 1
    return hits, (time.process_time() - began) / len(keys) * 1e6, changes


def measure(name: str, keys: Sequence[int], share: float) -> Row:
    """Run all three over one trace with room for `share` of its distinct keys."""
    size = max(1, round(len(set(keys)) * share))
    access: Callable[[int], bool] = ReferenceS3Fifo(size).access
    lru, s3fifo = lru_hits(keys, size) / len(keys), sum(map(access, keys)) / len(keys)
    hits, microseconds, changes = our_hits(keys, size)
    ours, best = hits / len(keys), max(lru, s3fifo)
    points = 100 * (ours - best)
    return Row(
        measure=f"hit ratio, {name}, {share:.1%} of distinct keys",
        trimtab=ours,
        best_rival=best,
        rival="LRU" if lru >= s3fifo else "S3-FIFO",
        ratio=ours / best,
        difference_points=points,
        floor_points=FLOOR_POINTS,
        met=points >= FLOOR_POINTS,
        lru=lru,
        s3fifo=s3fifo,
        entries=size,
        microseconds_per_request=microseconds,
        rule_changes=changes,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every trace at every size; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.cache", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--traces", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "traces")
    options = parser.parse_args(arguments)
    rows = []
    print(f"{'trace':34} {'share':>6} {'entries':>7} {'LRU':>6} {'S3FIFO':>6} {'ours':>6} {'points':>6}  floor -1")
    for name in TRACES:
        keys = read_trace(options.traces / name)
        for share in SHARES:
            row = measure(name, keys, share)
            rows.append(row)
            print(
                f"{name:34} {share:6.1%} {row.entries:7} {row.lru:6.4f} {row.s3fifo:6.4f} {row.trimtab:6.4f} "
                f"{row.difference_points:+6.2f}  {'met' if row.met else 'MISSED'}",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
