"""llama.cpp's own HTTP server, in a process of its own: `python -m tests.upstreams.llama_server PORT KEY`."""

import signal
import sys

from completions_mw.backends.models import default_weights


def main(port: str, key: str) -> None:
    """Serve SmolLM2 as the model `smollm2` until the process is stopped."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(default_weights())
    params.model_alias = {"smollm2"}
    params.n_ctx = 512
    params.n_parallel = 1
    # One thread is faster than two on a busy machine (PARTS section 2).
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.api_keys = [key]
    # Kept alive by its name: it serves as long as it exists.
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
