"""Request heads that were parsed before: a client that keeps its connection mostly sends the same bytes again."""

from __future__ import annotations

import msgspec

_END = b"\r\n\r\n"
_MAX_HEADS = 512
_MAX_HEAD_BYTES = 2048
# A request with one of these is read by more than its head's bytes and the length that they name.
_UNUSUAL = frozenset((b"expect", b"transfer-encoding", b"upgrade"))


class RequestHead(msgspec.Struct, frozen=True):
    """What the parser made of the head of a keep-alive request. Requests share it: nobody changes `headers`."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body_bytes: int


class KnownHeads:
    """Heads by their bytes, from the request line to the empty line. Bounded: when full it begins anew."""

    def __init__(self) -> None:
        self._heads: dict[bytes, RequestHead] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """Return head and body where the data are exactly one request whose head is known."""
        end = data.find(_END) + len(_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.body_bytes:
            return None
        return head, data[end:]

    def note(self, data: bytes, head: RequestHead, header_lines: int) -> None:
        """Remember a head that the parser read at the beginning of the data, and whose headers were so many lines.

        Where the parser saw another end than the first empty line, or an empty line before the request, the lines do
        not tally: what is not certain to be read alike is not remembered.
        """
        raw = data[: data.find(_END) + len(_END)]
        certain = raw[:1].isalpha() and raw.count(b"\n") == header_lines + 2
        if not certain or len(raw) > _MAX_HEAD_BYTES or not _UNUSUAL.isdisjoint(head.headers):
            return
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[raw] = head
