"""A Django project in one module, with the endpoint around it: its views and its login use the database while answers stream."""

import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from completions_mw import Gateway
from completions_mw.adapters.wsgi import CompletionsMiddleware
from completions_mw.http import Request
from tests.servers.apps import settings as gateway_settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "OPTIONS": {"timeout": 20},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this test",
    USE_TZ=True,
)
django.setup()


class Note(models.Model):  # type: ignore[misc]
    """What a visitor wrote."""

    text = models.CharField(max_length=100, unique=True)

    class Meta:
        app_label = "notes"


def write(request: HttpRequest, text: str) -> HttpResponse:
    """Keep a note, and say what is kept of it."""
    with transaction.atomic():
        Note.objects.create(text=text)
    return HttpResponse(Note.objects.get(text=text).text)


def login(request: Request) -> str | None:
    """Know a visitor by a note."""
    name = dict(request.headers).get("x-visitor", "")
    return name if Note.objects.filter(text=name).exists() else None


urlpatterns = [path("write/<str:text>", write)]

with connection.schema_editor() as editor:
    editor.create_model(Note)
connection.close()

app = CompletionsMiddleware(get_wsgi_application(), Gateway(gateway_settings(), authenticate=login))
