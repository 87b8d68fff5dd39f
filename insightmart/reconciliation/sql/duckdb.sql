-- What DuckDB needs to run the other files as they are, which are written for Snowflake: two of Snowflake's names. They
-- last as long as the connection; nothing is stored in the warehouse. Run it once, before any of the others.
CREATE OR REPLACE TEMPORARY TYPE TIMESTAMPNTZ AS TIMESTAMP;

CREATE OR REPLACE TEMPORARY MACRO CONVERT_TIMEZONE(from_zone, to_zone, instant) AS
  instant AT TIME ZONE from_zone AT TIME ZONE to_zone;
