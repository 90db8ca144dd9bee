"""Traces and metrics for OpenTelemetry: `OpenTelemetry` is what clients and pools are given.

It needs the extra ``telemetry``. What is not given one pays nothing for it.
"""

try:
    from ._instruments import OpenTelemetry as OpenTelemetry
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        "comfy_trio.telemetry needs the extra telemetry: pip install 'comfy-trio[telemetry]'",
        name=error.name,
    ) from None

# For users, and their tracebacks and tests, it lives here.
OpenTelemetry.__module__ = __name__
