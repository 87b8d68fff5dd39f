"""Run dbt several times in one process, by the interpreter of its own environment: imports nothing of ours."""

import json
import os
import sys

from dbt.cli.main import dbtRunner
from dbt_common.events.functions import reset_metadata_vars

FAILED = 3


def main() -> None:
    """Invoke dbt with each environment and its arguments; stop at the first that fails."""
    for invocation in json.loads(sys.argv[1]):
        os.environ.update(invocation["environment"])
        reset_metadata_vars()  # what it read of the environment before
        done = dbtRunner().invoke(invocation["arguments"])
        if not done.success:
            told = [str(done.exception)] if done.exception else []
            told += [f"{found.node.name}: {found.message}" for found in done.result or () if found.status != "success"]
            sys.stderr.write("; ".join(told[:5]))
            raise SystemExit(FAILED)


if __name__ == "__main__":
    main()
