"""Services whose callers get an answer in any case: rclpy sends none when a callback fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.logging import get_logger

from camera_perception.core.documents.text import shorten

Callback = Callable[[Any, Any], Any]


def answered(callback: Callback) -> Callback:
    """The callback of a service; when it raises, the answer is an empty response, or a refusal with the reason."""
    if iscoroutinefunction(callback):  # they handle their errors
        return callback

    @wraps(callback)
    def answer(request: Any, response: Any) -> Any:
        if isinstance(request, SetParameters.Request):
            return _one_by_one(callback, request, response)
        try:
            return callback(request, response)
        except Exception as error:
            get_logger("camera_perception").error(shorten(f"a request was refused: {error!r}"))
            return _refusal(type(response)(), error)

    return answer


def _one_by_one(callback: Callback, request: Any, response: Any) -> Any:
    """A parameter with a value of no known type must not hide whether the others were set."""
    for parameter in request.parameters:
        try:
            one = callback(SetParameters.Request(parameters=[parameter]), SetParameters.Response())
            response.results += one.results
        except Exception as error:
            response.results.append(_refused(error))
    return response


def _refusal(response: Any, error: Exception) -> Any:
    if isinstance(response, SetParametersAtomically.Response):
        response.result = _refused(error)
    return response


def _refused(error: Exception) -> SetParametersResult:
    reason = f"the value was refused ({error}): give a bool, integer, float or string, or a list of one of them"
    return SetParametersResult(successful=False, reason=shorten(reason))
