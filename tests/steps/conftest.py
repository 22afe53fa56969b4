"""One cluster with a written ledger for each PostgreSQL, shared by all tests of the recovering server."""

from collections.abc import Iterator

import pytest

from tests.steps.ledger import Ledger, a_ledger


@pytest.fixture(scope="session", params=["first", "last"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """On the machine's PostgreSQL and on the embedded build. Read-only for tests, but for what they put back."""
    with a_ledger(request.param) as written:
        yield written
