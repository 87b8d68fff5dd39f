"""What people see: the status page, the report, the mails."""
