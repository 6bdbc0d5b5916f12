"""`parlance tenants`: what tenants have spent, from the ledger, beside what they may spend."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from serve.commands.tables import aligned
from serve.errors import LocalError

if TYPE_CHECKING:
    from serve.gateway.auth import KeysFile
    from serve.gateway.ledger.store import Spend

HELP = "what tenants have spent of their budgets (from the ledger)"
MADE_UP = Path(".state/gateway")  # where `make up` keeps it


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its one action."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    spend = actions.add_parser("spend", help="USD, tokens and requests by tenant and period")
    spend.add_argument("--fleet", type=Path, help="fleet description, for its keys file and state directory")
    spend.add_argument("--state-dir", type=Path, help=f"the ledger's; default: the description's, or {MADE_UP}")
    spend.add_argument("--since", metavar="YYYY-MM-DD", help="first day (UTC); default: of this month")
    spend.add_argument("--json", action="store_true", help="everything, as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints a table or JSON. Raises LocalError when there is no ledger, DescriptionError for a wrong description."""
    from serve.gateway.auth import KeysFile
    from serve.gateway.ledger.period import day_of

    today = datetime.now(UTC)
    since = _day(args.since) if args.since is not None else today.replace(day=1).date()
    keys, directory = _places(args.fleet, args.state_dir)
    first = day_of(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp())
    lines = summed(_spend(directory, first), keys or KeysFile(), today.timestamp())
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(lines), indent=2).decode())
    elif lines:
        print("\n".join(aligned([HEAD, *(line.cells() for line in lines)], range(3, len(HEAD)))))
    else:
        print(f"nothing was spent since {since}")
    return 0


class Line(msgspec.Struct):
    """What a tenant spent in one period of its budget; in months where it has none."""

    tenant: str
    tenant_class: str = msgspec.field(name="class")
    period: str
    budget_usd: float | None
    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0

    def add(self, spend: Spend) -> None:
        """One day more."""
        self.requests += spend.requests
        self.input_tokens += spend.input_tokens
        self.cached_tokens += spend.cached_tokens
        self.output_tokens += spend.output_tokens
        self.nano_usd += spend.nano_usd

    def cells(self) -> tuple[str, ...]:
        """Its row of the table."""
        budget, usd = self.budget_usd, self.nano_usd / 1e9
        counts = self.requests, self.input_tokens, self.cached_tokens, self.output_tokens
        return (
            *(self.tenant, self.tenant_class, self.period),
            *(str(count) for count in counts),
            f"{usd:.6f}",
            f"{budget:g}" if budget is not None else "none",
            f"{usd / budget:.1%}" if budget else "",
        )


HEAD = ("tenant", "class", "period", "requests", "input", "cached", "output", "USD", "budget USD", "used")


def summed(spend: Iterable[Spend], keys: KeysFile, now: float) -> list[Line]:
    """A line a tenant and period, and one for every tenant that has a budget and spent nothing of it in the period of
    `now` (seconds since the epoch)."""
    from serve.gateway.auth import Tenant
    from serve.gateway.ledger.period import DAY_S, period_of

    lines: dict[tuple[str, int], Line] = {}

    def line(name: str, at: float) -> Line:
        tenant = keys.tenants.get(name, Tenant())
        period = period_of(tenant.period, at)
        key = name, period.first_day
        if key not in lines:
            lines[key] = Line(name, tenant.tenant_class, period.name, tenant.budget_usd)
        return lines[key]

    for name, tenant in keys.tenants.items():
        if tenant.budget_usd is not None:
            line(name, now)
    for one in spend:
        line(one.tenant, one.day * DAY_S).add(one)
    return [lines[key] for key in sorted(lines)]


def _places(fleet_file: Path | None, state_dir: Path | None) -> tuple[KeysFile | None, Path]:
    """The keys file, where one is named, and the directory of the ledger."""
    from serve.fleet import loader
    from serve.gateway.auth import load_keys

    if fleet_file is None:
        return None, state_dir or MADE_UP
    gateway = loader.load(fleet_file).gateway
    keys = load_keys(fleet_file.parent / gateway.keys_file) if gateway.keys_file is not None else None
    if state_dir is None:
        state_dir = fleet_file.parent / gateway.state_dir if gateway.state_dir is not None else MADE_UP
    return keys, state_dir


def _spend(directory: Path, first_day: int) -> list[Spend]:
    from serve.gateway.ledger.database import Sqlite, Unreachable
    from serve.gateway.ledger.store import NAME, Store

    path = directory / NAME
    if not path.is_file():
        raise LocalError(f"{path}: there is no ledger: name the gateway's --state-dir, or a --fleet that names it")
    try:
        store = Store(Sqlite(path, read_only=True))
        try:
            return store.spend(first_day, 10**6)
        finally:
            store.close()
    except Unreachable as error:
        raise LocalError(f"{path} cannot be read: {error}") from error


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise LocalError(f"--since {text[:40]!r} is no day: YYYY-MM-DD is wanted") from error
