"""What a writer that died has left at work: the next one finds it by its tag, and stops it."""

from __future__ import annotations

import json
import threading
from uuid import uuid4

from snowflake.connector.errors import Error

from ingestion.warehouse import Warehouse
from insightmart.left_at_work import DeadWriter, stop_what_is_left
from insightmart.smoke.trial import DidNotHold, Trial, check, in_a_line
from insightmart.snowflake_sessions import APPLICATION

FOR = 300  # seconds that the statement would take


@check(
    "what a dead writer has left at work is stopped",
    account_only="no statement goes on in it when nobody waits for it",
)
def stopped(trial: Trial) -> str:
    """A statement that runs and a transaction that is open, each in a session of its own, as a killed process leaves
    them; the next holder of the lease stops both before it writes."""
    mark, said = uuid4().hex, []
    tag = {"QUERY_TAG": json.dumps({"app": APPLICATION, "writer": mark}, separators=(",", ":"))}

    def wait(session: Warehouse) -> None:
        try:
            session.connection.cursor().execute(f"SELECT SYSTEM$WAIT({FOR})", _statement_params=tag)
            said.append("it came to its end")
        except Error as error:
            said.append(in_a_line(error))

    with trial.session() as running, trial.session() as inside:
        inside.connection.cursor().execute("BEGIN", _statement_params=tag)
        number = inside.value("SELECT CURRENT_TRANSACTION()")
        thread = threading.Thread(target=wait, args=[running], daemon=True)
        thread.start()
        dead = DeadWriter("insightmart cycle", mark, None, trial.settings.snowflake_user, 0.0)
        stop_what_is_left(trial.settings, [dead])
        thread.join(timeout=10)
        if not said or "cancel" not in said[0].lower():
            raise DidNotHold(f"the statement was not cancelled: {said[0] if said else 'it still runs'}")
        if any(str(row["id"]) == str(number) for row in trial.warehouse.records("SHOW TRANSACTIONS")):
            raise DidNotHold(f"the transaction {number} is still open")
    return f"{said[0]}; transaction {number} is gone"
