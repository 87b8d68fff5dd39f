"""The settings of an account that ``fakesnow_session`` stands in for."""

ACCOUNT = {
    "INSIGHTMART_GATEWAY": "snowflake",
    "SNOWFLAKE_ACCOUNT": "acme-one",
    "SNOWFLAKE_USER": "transformer",
    "SNOWFLAKE_AUTHENTICATOR": "snowflake",
    "SNOWFLAKE_PASSWORD": "open-sesame",
}
