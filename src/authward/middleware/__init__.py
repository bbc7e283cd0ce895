"""Protections, one a file, each a pure ASGI class over decisions in `core`."""
