"""How the API says no.

Texts are OpenWhisk's own (http/ErrorResponse.scala, `object Messages`): clients match on them."""

from __future__ import annotations

from faasctl.local.openwhisk.http import Reply

CONFORMANCE = "Resource by this name exists but is not in this collection."
DOES_NOT_EXIST = "The requested resource does not exist."
NOT_FOUND = "The requested resource could not be found."
PARAMETERS_NOT_ALLOWED = "Request defines parameters that are not allowed (e.g., reserved properties)."
PROPERTY_NOT_FOUND = "Response does not include requested property."
RESPONSE_NOT_READY = "Response not yet ready."
PROCESSING = "There was an error processing your request."
INTERNAL = "There was an internal server error."
NOT_AUTHENTICATED = "Authentication is possible but has failed or not yet been provided."
AUTHENTICATION_MISSING = "The resource requires authentication, which was not supplied with the request"
AUTHENTICATION_INVALID = "The supplied authentication is invalid"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="OpenWhisk secure realm",charset=UTF-8'}


class ApiError(Exception):
    """An answer other than success.

    ``rejected`` errors come from the routing layer, before any API code ran; their answers carry no CORS headers.
    """

    def __init__(
        self, status: int, text: str, *, rejected: bool = False, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.rejected = rejected
        self.headers = headers or {}

    def reply(self, transaction: str) -> Reply:
        """The envelope of every error: ``{"error": ..., "code": <transaction id>}``."""
        body = {"error": self.text, "code": transaction}
        return Reply(self.status, body, headers=self.headers, cors=not self.rejected)


def not_found() -> ApiError:
    """The entity is not there."""
    return ApiError(404, DOES_NOT_EXIST)


def no_route() -> ApiError:
    """No such path or method."""
    return ApiError(404, NOT_FOUND, rejected=True)


def conflict(text: str = CONFORMANCE) -> ApiError:
    return ApiError(409, text)


def bad_request(text: str) -> ApiError:
    return ApiError(400, text)


def malformed_content(text: str) -> ApiError:
    """The body is not what it must be; ``text`` is the deserialiser's."""
    return ApiError(400, f"The request content was malformed:\n{text}", rejected=True)


def malformed_query(name: str, text: str) -> ApiError:
    return ApiError(400, f"The query parameter '{name}' was malformed:\n{text}", rejected=True)


def invalid(text: str) -> ApiError:
    """A path segment is not allowed (a name, an activation id)."""
    return ApiError(400, text, rejected=True)


def forbidden(resource: str) -> ApiError:
    return ApiError(403, f"The supplied authentication is not authorized to access '{resource}'.")


def too_large(field: str, size: int, allowed: int) -> ApiError:
    return ApiError(413, f"{field} larger than allowed: {size} > {allowed} bytes.")
