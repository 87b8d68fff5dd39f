-- Roles, and the users of programs.
-- Written by `make docs` from account.yml and privileges.yml; not to be edited. May be run again.

USE ROLE USERADMIN;

-- Roles, and which role has the rights of which.
CREATE ROLE IF NOT EXISTS INSIGHTMART_OWNER COMMENT = 'Owns database, schemas, warehouses and policies; for people, never for a program';
ALTER ROLE INSIGHTMART_OWNER SET COMMENT = 'Owns database, schemas, warehouses and policies; for people, never for a program';
CREATE ROLE IF NOT EXISTS INSIGHTMART_LOADER COMMENT = 'Writes raw and the record of loads; reads no model';
ALTER ROLE INSIGHTMART_LOADER SET COMMENT = 'Writes raw and the record of loads; reads no model';
CREATE ROLE IF NOT EXISTS INSIGHTMART_TRANSFORMER COMMENT = 'Builds everything from staging to certified; reads raw and cannot write it';
ALTER ROLE INSIGHTMART_TRANSFORMER SET COMMENT = 'Builds everything from staging to certified; reads raw and cannot write it';
CREATE ROLE IF NOT EXISTS INSIGHTMART_PIPELINE COMMENT = 'LOADER and TRANSFORMER in one session, which is how a cycle works';
ALTER ROLE INSIGHTMART_PIPELINE SET COMMENT = 'LOADER and TRANSFORMER in one session, which is how a cycle works';
CREATE ROLE IF NOT EXISTS INSIGHTMART_REPORTER COMMENT = 'Reads the certified tables, one by one, and nothing else';
ALTER ROLE INSIGHTMART_REPORTER SET COMMENT = 'Reads the certified tables, one by one, and nothing else';
CREATE ROLE IF NOT EXISTS INSIGHTMART_AUDITOR COMMENT = 'Reads evidence and certified, and raw with personal data masked; writes nothing';
ALTER ROLE INSIGHTMART_AUDITOR SET COMMENT = 'Reads evidence and certified, and raw with personal data masked; writes nothing';
GRANT ROLE INSIGHTMART_PIPELINE TO ROLE INSIGHTMART_OWNER;
GRANT ROLE INSIGHTMART_REPORTER TO ROLE INSIGHTMART_OWNER;
GRANT ROLE INSIGHTMART_AUDITOR TO ROLE INSIGHTMART_OWNER;
GRANT ROLE INSIGHTMART_LOADER TO ROLE INSIGHTMART_PIPELINE;
GRANT ROLE INSIGHTMART_TRANSFORMER TO ROLE INSIGHTMART_PIPELINE;
GRANT ROLE INSIGHTMART_OWNER TO ROLE SYSADMIN;

-- Programs: TYPE = SERVICE has no password and no browser. One role each, and no secondary ones. Roles that a program may
-- take in place of its own have a part of its rights.
CREATE USER IF NOT EXISTS INSIGHTMART_PIPELINE TYPE = SERVICE COMMENT = '`insightmart cycle` and all its commands';
ALTER USER INSIGHTMART_PIPELINE SET
    TYPE = SERVICE
    COMMENT = '`insightmart cycle` and all its commands'
    DEFAULT_ROLE = INSIGHTMART_PIPELINE
    DEFAULT_WAREHOUSE = INSIGHTMART_TRANSFORM
    DEFAULT_NAMESPACE = 'INSIGHTMART'
    DEFAULT_SECONDARY_ROLES = ();
GRANT ROLE INSIGHTMART_PIPELINE TO USER INSIGHTMART_PIPELINE;
GRANT ROLE INSIGHTMART_LOADER TO USER INSIGHTMART_PIPELINE;
CREATE USER IF NOT EXISTS INSIGHTMART_TABLEAU TYPE = SERVICE COMMENT = 'Tableau''s live connections';
ALTER USER INSIGHTMART_TABLEAU SET
    TYPE = SERVICE
    COMMENT = 'Tableau''s live connections'
    DEFAULT_ROLE = INSIGHTMART_REPORTER
    DEFAULT_WAREHOUSE = INSIGHTMART_REPORT
    DEFAULT_NAMESPACE = 'INSIGHTMART'
    DEFAULT_SECONDARY_ROLES = ();
GRANT ROLE INSIGHTMART_REPORTER TO USER INSIGHTMART_TABLEAU;
