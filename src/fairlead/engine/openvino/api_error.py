"""Every refusal has OpenAI's body, an HTTP status and the name of the parameter that is to blame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refused or failed request: what the caller reads, and with which status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {"error": {"message": message, "type": type, "param": param, "code": code}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that is wrong in itself."""
    return ApiError(400, message, param=param, code=code)


def unsupported(param: str, why: str) -> ApiError:
    """A request for something that this engine cannot do, which it therefore refuses."""
    return ApiError(400, f"`{param}` is not supported: {why}", param=param, code="unsupported_parameter")


def too_long(prompt_tokens: int, max_tokens: int, max_model_len: int, param: str) -> ApiError:
    """A prompt, or a prompt and an answer, beyond the context."""
    return ApiError(
        400,
        f"This model's maximum context length is {max_model_len} tokens. However, you requested "
        f"{prompt_tokens + max_tokens} tokens ({prompt_tokens} in the prompt, {max_tokens} in the completion). "
        "Please reduce the length of the prompt or of the completion.",
        param=param,
        code="context_length_exceeded",
    )


def model_not_found(name: str) -> ApiError:
    """A name that is not served here."""
    return ApiError(404, f"The model `{name}` does not exist.", param="model", code="model_not_found")


def overloaded(retry_after_s: int) -> ApiError:
    """No room in the queue; the header says when to come back."""
    return ApiError(
        429,
        "The engine's queue is full. Please try again later.",
        type="rate_limit_error",
        code="engine_overloaded",
        headers={"retry-after": str(retry_after_s)},
    )


def engine_failed(message: str) -> ApiError:
    """Our fault, not the caller's."""
    return ApiError(500, message, type="server_error", code="engine_error")
