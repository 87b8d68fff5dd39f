"""``make mutants``: changes the models' SQL by one token, many times, and says which changes the unit tests notice."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def main() -> int:
    """Exit code 0 where at least the wanted share of the changes is noticed, otherwise 1."""
    arguments = _arguments()
    os.environ.setdefault("INSIGHTMART_HOME", str(PROJECT / "var" / "lint"))
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"

    from bench.mutants.changes import changes_of
    from bench.mutants.equivalent import why_equivalent
    from bench.mutants.trial import Trial

    changes = [change for change in changes_of(PROJECT) if arguments.only in str(change)]
    candidates = [change for change in changes if not why_equivalent(change)]
    chosen = random.Random(arguments.seed).sample(candidates, min(arguments.count, len(candidates)))
    print(
        f"{len(changes)} changes can be made, {len(changes) - len(candidates)} of them change nothing "
        f"(bench/mutants/equivalent.py says why); {len(chosen)} are tried, seed {arguments.seed}.",
        flush=True,
    )
    trial = Trial(PROJECT)
    if not arguments.skip_unchanged and (failures := trial.failures()):
        print(f"Unit tests fail without any change, so nothing can be measured: {', '.join(failures)}", file=sys.stderr)
        return 1

    survived = []
    for number, change in enumerate(chosen, 1):
        started = time.monotonic()
        noticed = trial.notices(change)
        seconds = time.monotonic() - started
        outcome = f"noticed by {noticed}" if noticed else "SURVIVED"
        print(f"{number:3} {outcome} ({seconds:.1f} s)\n      {change}", flush=True)
        if not noticed:
            survived.append(change)

    share = 1 - len(survived) / len(chosen) if chosen else 0
    print(f"\n{len(chosen) - len(survived)} of {len(chosen)} noticed ({share:.1%}), seed {arguments.seed}.")
    for change in survived:
        print(f"  survived: {change}")
    kinds = Counter(change.kind for change in survived)
    if kinds:
        print("  by kind: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    return 0 if share >= arguments.at_least else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description=__doc__)
    any_seed = random.SystemRandom().randrange(1_000_000)
    parser.add_argument("--seed", type=int, default=any_seed, help="repeats a choice (default: a new one)")
    parser.add_argument("--count", type=int, default=40, help="how many changes are tried (default: 40)")
    parser.add_argument("--only", default="", metavar="TEXT", help="changes whose line of the report contains TEXT")
    parser.add_argument("--at-least", type=float, default=0.95, metavar="SHARE", help="for exit code 0 (default: 0.95)")
    parser.add_argument("--skip-unchanged", action="store_true", help="do not first run all unit tests unchanged")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
