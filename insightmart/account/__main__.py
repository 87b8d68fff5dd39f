"""``python -m insightmart.account [PARAMETERS [FOLDER]]``: write the statements for the account.

Without arguments those of the repository, with the table of docs/snowflake-account.md; a test fails while one is out of
date. With a file of parameters, its statements into a folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from insightmart.account.account_files import PAGE, account_files, page_with_table
from insightmart.account.account_parameters import PARAMETERS, read_parameters
from insightmart.account.privileges import PRIVILEGES, read_roles
from insightmart.errors import DONE, ConfigurationError
from insightmart.settings import PROJECT, load_settings


def outdated_files(parameters_file: Path | None = None, folder: Path | None = None) -> dict[Path, str]:
    """The files that do not say what they have to, with what they should say.

    Raises:
        ConfigurationError: a file of definitions cannot be read, or states what cannot be.
    """
    contract = load_settings().snowflake_credit_usd if parameters_file else 0.0  # those here are nobody's contract
    parameters = read_parameters(parameters_file or PROJECT / PARAMETERS, contract)
    roles = read_roles(PROJECT / PRIVILEGES, parameters)
    target = folder or (PROJECT / PARAMETERS).parent
    texts = {target / name: text for name, text in account_files(parameters, roles).items()}
    if parameters_file is None:
        texts[PROJECT / PAGE] = page_with_table((PROJECT / PAGE).read_text(encoding="utf-8"), roles)
    return {path: text for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text}


def main(arguments: list[str]) -> int:
    """Write what is out of date, and name it. A mistake is one line on stderr.

    Returns:
        The exit code.
    """
    try:
        if len(arguments) not in (0, 2):
            raise ConfigurationError(
                "python -m insightmart.account takes a file of parameters and a folder, or nothing",
                "See docs/snowflake-account.md",
            )
        for path, text in outdated_files(*map(Path, arguments)).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path}\n")
        return DONE
    except OSError as error:  # of the folder
        wrong = ConfigurationError(f"{error.filename}: {error.strerror}", "Name a folder that can be written to")
    except ConfigurationError as error:
        wrong = error
    sys.stderr.write(f"{wrong}\n")
    return wrong.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
