"""What a first Snowflake account is tried with: each check is one function, and says what it saw."""
