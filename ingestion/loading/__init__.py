"""What every load does, whatever its source."""

import os

# dlt reads these when it is imported or when a pipeline starts. Set before any module here imports it.
os.environ.update(
    RUNTIME__LOG_LEVEL="CRITICAL",  # failures are raised, and reported once, by whoever called us
    RESTORE_FROM_DESTINATION="false",  # we keep no state in dlt: watermarks are in ops.source_watermarks
    LOAD__DELETE_COMPLETED_JOBS="true",  # the rows are in raw; kept files would double them on the disk
)
