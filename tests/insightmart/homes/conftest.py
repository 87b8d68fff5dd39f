"""A day on the sandbox, and gateways whose home a test may lose or damage."""

from tests.insightmart.commands.conftest import first_cycle  # noqa: F401 a fixture
from tests.support.homeless import day, gateway, local  # noqa: F401 fixtures
