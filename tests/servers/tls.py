"""Certificates that no client may accept."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import trustme

AUTHORITY = trustme.CA()
"""Nobody knows it, unless a test says so."""


def right() -> ssl.SSLContext:
    """Nothing is wrong with it but its authority."""
    return _context("127.0.0.1")


def wrong_host() -> ssl.SSLContext:
    """For another host."""
    return _context("elsewhere.example")


def expired() -> ssl.SSLContext:
    """For the right host, of last year."""
    return _context("127.0.0.1", expires_at=datetime.now(UTC) - timedelta(days=365))


def _context(host: str, expires_at: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(host, not_after=expires_at).configure_cert(context)
    return context
