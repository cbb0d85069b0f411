"""Refusals of a system, in words that tell the user what to change."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Error, ErrorKind
from .http import Response


@dataclass(frozen=True)
class System:
    """The names that messages about a system's refusals need: the system's own, and those of its settings.

    ``System("Acme", credential=("token", "ACME_TOKEN"))``
    """

    name: str
    credential: tuple[str, str] | None = None
    """The setting of the credential, and its environment variable."""
    address: str = "url"
    """The setting of the address."""

    def success(self, what: str, response: Response) -> Response:
        """Returns the response if it is a success. ``what`` names the requested resource (``dcim.devices``).

        Raises:
            Error: See ``refuse``.
        """
        if response.is_success:
            return response
        raise self.refuse(what, response)

    def refuse(self, what: str, response: Response, said: str | None = None) -> Error:
        """Returns the failure that a response without success stands for, and releases the response.

        401 and 403 are ``auth`` and name the credential, 3xx are ``config`` and name the address, 429 is ``rate-limited`` and names
        ``max_concurrency``; for others see ``Error.from_response``. Each message quotes the system's own words, if they are short and not
        HTML, or ``said``, which the adapter took from the response.
        """
        words = said or response.detail()
        quoted = f" ({words})" if words else ""
        location = response.header("location")
        error = Error.from_response(what, response)
        status = response.status
        if 300 <= status < 400:
            to = f" to {location}" if location else ""
            error.kind, message = ErrorKind.CONFIG, f"`{self.address}` is not the address of {self.name}: it redirects{to}"
        elif error.kind is ErrorKind.AUTH:
            message = (
                f"{self.name} denies access to `{what}`{quoted}: {self._credential()} is missing, wrong or expired, or lacks the permission"
            )
        elif error.kind is ErrorKind.NOT_FOUND:
            message = f"{self.name} has no `{what}`{quoted}"
        elif error.kind is ErrorKind.RATE_LIMITED:
            message = f"{self.name} asks for fewer requests{quoted}: set a lower `max_concurrency`"
        elif error.kind is ErrorKind.REMOTE:
            message = f"{self.name} failed on `{what}` with HTTP status {status}{quoted}"
        else:
            message = f"{self.name} rejects `{what}` with HTTP status {status}{quoted}"
        return Error(error.kind, message, status, error.retry_after_ms)

    def unexpected(self, what: str, response: Response) -> Error:
        """Returns the failure for a success whose body is not the system's: HTML of a login page, or the answer of another product."""
        content = response.header("content-type")
        found = f" ({content})" if content else ""
        return Error.remote(
            f"the answer for `{what}` is not from {self.name}{found}: check that `{self.address}` is the address of {self.name}"
        ).with_status(response.status)

    def _credential(self) -> str:
        return "the credential" if self.credential is None else f"`{self.credential[0]}` ({self.credential[1]})"
