"""Settings for all tests."""

import signal

from hypothesis import HealthCheck, settings

from releve.lab.run import interrupt_on_signals

# Machines of very different speed run these tests: time belongs to tests/bench, never to a verdict.
settings.register_profile(
    "releve", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("releve")


def pytest_configure() -> None:
    """End in order, fixtures and all, when told to: the lab's hosts would stay."""
    interrupt_on_signals()
    # A shell lets its background ignore this, and all that is started here would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
