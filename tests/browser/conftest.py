"""The browser that all tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from browser.pages import open_browser


# Not of the session: playwright keeps an event loop running in this thread, and whatever test
# comes behind (nbclient) could start none of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window and without a network."""
    with open_browser() as found:
        yield found
