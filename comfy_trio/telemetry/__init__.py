"""Traces and metrics for OpenTelemetry: `OpenTelemetry` is what clients and pools are given.

It needs the extra ``telemetry``. What is not given one pays nothing for it.
"""

try:
    from ._instruments import OpenTelemetry as OpenTelemetry
except ModuleNotFoundError as _error:
    _missing = (_error.name or "").partition(".")[0]
    if _missing != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        f"Telemetry needs {_missing}, which is not installed:"
        ' run  pip install "comfy-trio[telemetry]"',
        name=_missing,
    ) from _error

# For users, and their tracebacks and tests, it lives here.
OpenTelemetry.__module__ = __name__
