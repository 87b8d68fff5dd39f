"""The Snowflake account as code: statements for an administrator, rendered from deploy/snowflake/*.yml."""
