"""Who may ask for what.

The dashboard shows payloads and can end workflows, so a page of another site must not be able to use it through the
browser of whoever has it open:

- the Host of a request is one that the dashboard has (else a name that is made to point here would be let in);
- what changes something is a POST of a form that the dashboard has made: its Origin is the dashboard, and it carries a
  token that belongs to the browser's session;
- away from the loopback every request needs the dashboard's token, as a bearer token or by a login;
- pages load nothing from elsewhere, run no script but ours, and are in nobody's frame.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

COOKIE: Final = 'dapr-workflow-session'
FIELD: Final = 'csrf'
READ_ONLY: Final = 'This dashboard is read-only.'
HEADERS: Final = {
    'Content-Security-Policy': (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    'X-Content-Type-Options': 'nosniff',
    # Not no-referrer, with which browsers say of a form of our own that it comes from nowhere.
    'Referrer-Policy': 'same-origin',
    'Cache-Control': 'no-store',
}
_LOOPBACK: Final = ('localhost', '127.0.0.1', '::1')
_MAX_SESSIONS: Final = 1000


class Guard:
    """Checks requests.

    Args:
        hosts: The host names that the dashboard has, beside those of the loopback.
        token: What requests have to bring; None: nothing.
        read_only: Whether nothing can be changed.
    """

    def __init__(self, hosts: Sequence[str] = (), token: str | None = None, *, read_only: bool = False) -> None:
        self._hosts = {*_LOOPBACK, *(host.casefold() for host in hosts)}
        self._token = token
        self.read_only = read_only
        self._secret = secrets.token_bytes(32)
        self._sessions: dict[str, None] = {}

    @property
    def needs_login(self) -> bool:
        """Whether requests have to bring a token."""
        return self._token is not None

    def knows_host(self, headers: Headers) -> bool:
        """Whether a request is for a name that the dashboard has."""
        try:
            host = urlsplit(f'//{headers.get("host", "")}').hostname
        except ValueError:
            return False
        return host is not None and host.casefold() in self._hosts

    def lets_in(self, headers: Headers, session: str | None) -> bool:
        """Whether a request brings what it needs: the token, or the session of a login."""
        if self._token is None or (session is not None and session in self._sessions):
            return True
        kind, _, given = headers.get('authorization', '').partition(' ')
        return kind.casefold() == 'bearer' and self.is_token(given.strip())

    def is_token(self, given: str) -> bool:
        """Whether that is the token."""
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())

    def log_in(self) -> str:
        """A new session that has shown the token."""
        if len(self._sessions) >= _MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = secrets.token_urlsafe(32)
        self._sessions[session] = None
        return session

    def form_token(self, session: str) -> str:
        """What the forms of a session carry."""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def refusal(self, headers: Headers, session: str | None, form_token: str) -> str | None:
        """Why a form's POST is refused, or None."""
        origin = headers.get('origin')
        if origin is not None and urlsplit(origin).netloc != headers.get('host', ''):
            return 'The request comes from a page of another site.'
        if headers.get('sec-fetch-site', 'same-origin') not in ('same-origin', 'none'):
            return 'The request comes from a page of another site.'
        if session is None or not hmac.compare_digest(form_token, self.form_token(session)):
            return 'The form is of another session: load the page again.'
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a dashboard that listens there."""
    return host.casefold().strip('[]') in _LOOPBACK
