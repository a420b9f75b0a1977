"""Other gateways, installed below `bench/.peers` when they are asked for: LiteLLM's proxy (PyPI) and Portkey's gateway (npm)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench import wire
from bench.contestants import KEY_HEADER, Contestant
from bench.processes import SkippedError, program

FOLDER: Final = Path(__file__).parent / ".peers"
LITELLM: Final = "litellm[proxy]<=1.109.1"
"""The newest that the index can install: releases have named companions that were not published."""
PORTKEY: Final = "@portkey-ai/gateway@1.15.2"
INSTALL_SECONDS: Final = 600


def litellm(upstream_port: int) -> Contestant:
    """Return LiteLLM's proxy: one worker, one model, the master key.

    Raises:
        SkippedError: it cannot be installed.
    """
    return _litellm("litellm", upstream_port, {})


def litellm_cached(upstream_port: int) -> Contestant:
    """Return LiteLLM's proxy with its own cache in memory.

    Raises:
        SkippedError: it cannot be installed.
    """
    found = _litellm("litellm-cached", upstream_port, {"cache": True, "cache_params": {"type": "local"}})
    # The header is on hits alone.
    return replace(found, modes=("json",), mark="x-litellm-cache-key: ", rival="cached-uvicorn")


def _litellm(name: str, upstream_port: int, more_settings: Mapping[str, Any]) -> Contestant:
    folder = _folder("litellm")
    python = folder / "venv/bin/python"
    if not (folder / "venv/bin/litellm").exists():
        uv = program(os.environ.get("UV") or "uv")
        _install([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder / "venv")])
        _install([uv, "pip", "install", "--quiet", "--python", str(python), LITELLM])
    config = folder / f"{name}.yaml"
    target = {"model": f"openai/{wire.MODEL}", "api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "sk-upstream"}
    # JSON is YAML.
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": wire.MODEL, "litellm_params": target}],
                "litellm_settings": {"telemetry": False, **more_settings},
                "general_settings": {"master_key": wire.KEY},
            }
        )
    )
    command = [str(folder / "venv/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--num_workers", "1"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": f"{python.parent}:{os.environ['PATH']}"}
    return Contestant(name, lambda port: [*command, "--port", str(port)], environment=quiet, start_seconds=180)


def portkey(upstream_port: int) -> Contestant:
    """Return Portkey's gateway, which has no keys of its own: it passes the caller's on.

    Raises:
        SkippedError: it cannot be installed.
    """
    folder = _folder("portkey")
    script = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    node = program("node")
    if not script.exists():
        _install([program("npm"), "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), PORTKEY])
    headers = {**KEY_HEADER, "x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1"}
    environment = {"TRUSTED_CUSTOM_HOSTS": "localhost,127.0.0.1", "NODE_ENV": "production"}
    return Contestant(
        "portkey",
        lambda port: [node, str(script), f"--port={port}", "--headless"],
        headers=headers,
        environment=environment,
        start_seconds=60,
    )


PEERS: Final[dict[str, Callable[[int], Contestant]]] = {"litellm": litellm, "litellm-cached": litellm_cached, "portkey": portkey}


def _folder(name: str) -> Path:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    return folder


def _install(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise SkippedError(f"{Path(command[0]).name} did not finish within {INSTALL_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines()
        raise SkippedError(f"{Path(command[0]).name} failed: {lines[-1] if lines else error.returncode}") from None
