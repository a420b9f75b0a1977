"""Apache with mod_wsgi, as Debian has both: `apache2`, `libapache2-mod-wsgi-py3`."""

import os
import sysconfig
from pathlib import Path
from shutil import which

from tests.servers.conftest import ROOT

MODULES = Path("/usr/lib/apache2/modules")
MODULE = MODULES / "mod_wsgi.so"
SCRIPT = "from tests.servers.wsgi_app import app as application"
CONFIG = """
ServerRoot {folder}
ServerName localhost
PidFile pid
Listen 127.0.0.1:{port}
ErrorLog /dev/stderr
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
User nobody
Group nogroup
WSGISocketPrefix {folder}/wsgi
WSGIDaemonProcess app threads=32 python-path={root}:{packages}
WSGIProcessGroup app
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {folder}/app.wsgi
WSGIPassAuthorization On
"""


def run(port: int) -> None:
    """Become Apache, with the app in a process of its own. The variable FOLDER names where it may write."""
    folder = Path(os.environ["FOLDER"])
    (folder / "app.wsgi").write_text(SCRIPT)
    config = folder / "apache.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, modules=MODULES, root=ROOT, packages=sysconfig.get_path("purelib")))
    program = which("apache2", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    assert program is not None
    os.execv(program, [program, "-f", str(config), "-DFOREGROUND"])
