"""When each alert fires and when it does not: cases over time, which promtool plays."""

from tests.support.alerts import autoscaler, burn, engines, gateway, languages, money
from tests.support.alerts.case import Case, Fires, Quiet

CASES: tuple[Case, ...] = (
    *burn.CASES,
    *engines.CASES,
    *autoscaler.CASES,
    *languages.CASES,
    *money.CASES,
    *gateway.CASES,
)

__all__ = ["CASES", "Case", "Fires", "Quiet"]
