"""`parlance keys`: makes API keys; only their digests are kept."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HELP = "make and list API keys (only their digests are stored)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="make a key, print it once, and add its digest to a keys file")
    add.add_argument("--file", type=Path, required=True, help="the keys file; made when it is not there")
    add.add_argument("--name", required=True, help="what logs call the key")
    add.add_argument("--tenant", required=True, help="whom its requests belong to")
    add.add_argument("--models", help="comma-separated models it may use; default: all")
    add.add_argument("--expires", metavar="YYYY-MM-DD", help="first day (UTC) on which it no longer works")
    shown = actions.add_parser("list", help="names, tenants and states of a file's keys")
    shown.add_argument("--file", type=Path, required=True)


def run(args: argparse.Namespace) -> int:
    """Adds or lists."""
    return _add(args) if args.action == "add" else _list(args)


def _add(args: argparse.Namespace) -> int:
    import yaml
    from pydantic import ValidationError

    from serve.errors import DescriptionError
    from serve.fleet.loader import problems_of
    from serve.gateway.auth import KeysFile, load_keys, new_key

    path: Path = args.file
    present = load_keys(path) if path.exists() else KeysFile()
    key, digest = new_key()
    entry = {
        "name": args.name,
        "tenant": args.tenant,
        "sha256": digest,
        "models": args.models.split(",") if args.models else None,
        "expires": args.expires,
    }
    kept = present.model_dump(mode="json", exclude_defaults=True)
    entries = [*kept.get("keys", ()), {name: value for name, value in entry.items() if value is not None}]
    content = {"version": 1, **kept, "keys": entries}
    try:
        KeysFile.model_validate(content)
    except ValidationError as error:
        raise DescriptionError("command line", problems_of(error)) from error
    text = yaml.safe_dump(content, sort_keys=False)
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)  # a reader sees the old file or the new one, never half of one
    print(key)
    return 0


def _list(args: argparse.Namespace) -> int:
    from serve.gateway.auth import load_keys

    for key in load_keys(args.file).keys:
        state = "revoked" if key.revoked else f"expires {key.expires}" if key.expires else "valid"
        models = ", ".join(key.models) if key.models else "all models"
        print(f"{key.name}\t{key.tenant}\t{state}\t{models}\tsha256 {key.sha256[:12]}…")
    return 0
