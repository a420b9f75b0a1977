"""The pages of the Django project itself, and its login."""

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from tests.hosts.base import HELLO, PAGES


class UserMiddleware(MiddlewareMixin):  # type: ignore[misc]
    """Says who is logged in, without a database."""

    def process_request(self, request: HttpRequest) -> None:
        name = request.COOKIES.get("session")
        request.user = User(username=name) if name else AnonymousUser()


@login_not_required  # type: ignore[untyped-decorator]
def hello(request: HttpRequest) -> HttpResponse:
    """Be a page for everybody."""
    return HttpResponse(HELLO)


def private(request: HttpRequest) -> HttpResponse:
    """Be a page for users who have logged in."""
    return HttpResponse(HELLO)


urlpatterns = [*(path(page[1:], hello) for page in PAGES), path("private", private)]
