"""LitServe: a FastAPI front and an inference process, batches in the process."""

# Without postponed annotations: LitServe reads the type of `request` as an object.
from typing import Any

import litserve as ls
from fastapi import Request, Response

from bench.engine.servers.workload import PATH, encode, load, options

OPTIONS = options()


class Model(ls.LitAPI):
    """The hooks that LitServe calls, in their order."""

    def setup(self, device: str) -> None:
        """Make the model ready."""
        self._run = load(OPTIONS)

    def decode_request(self, request: Request) -> tuple[str, Any]:
        """Read a body, which LitServe has decoded."""
        body: Any = request
        tensor = body["inputs"][0]
        return body["id"], tensor["data"][0] if tensor["datatype"] == "BYTES" else tensor["data"]

    def batch(self, inputs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Rows stay a list: the model makes its own tensors."""
        return inputs

    def predict(self, rows: Any) -> Any:
        """Answer a batch; LitServe hands over a single row where batching is off."""
        if isinstance(rows, tuple):
            return rows[0], self._run([rows[1]])[0]
        return list(zip([name for name, _ in rows], self._run([row for _, row in rows]), strict=True))

    def unbatch(self, output: list[tuple[str, list[float]]]) -> list[tuple[str, list[float]]]:
        """One answer for each row."""
        return output

    def encode_response(self, output: tuple[str, list[float]]) -> Response:
        """Make the body."""
        return Response(encode(*output), media_type="application/json")


if __name__ == "__main__":
    api = Model(max_batch_size=OPTIONS.batch, batch_timeout=OPTIONS.wait_seconds, api_path=PATH)
    server = ls.LitServer(
        api,
        accelerator="cpu",
        devices=1,
        workers_per_device=OPTIONS.processes,
        timeout=OPTIONS.timeout_seconds,
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=OPTIONS.port, generate_client_file=False, log_level="warning", access_log=False)
