-- Personal data is masked for whoever does not compute with it. Before the first load.
-- Written by `make docs` from account.yml and privileges.yml; not to be edited. May be run again.

USE ROLE INSIGHTMART_OWNER;

CREATE TAG IF NOT EXISTS INSIGHTMART.GOVERNANCE.PERSONAL ALLOWED_VALUES 'yes', 'no', 'unclassified'
    COMMENT = 'Whether a text says something of a person';

-- The pipeline sees what it has to compute with; anybody else sees what is known to be nobody's.
CREATE MASKING POLICY IF NOT EXISTS INSIGHTMART.GOVERNANCE.PERSONAL_TEXT AS (value VARCHAR) RETURNS VARCHAR -> '(masked)';
ALTER MASKING POLICY INSIGHTMART.GOVERNANCE.PERSONAL_TEXT SET BODY ->
    CASE
        WHEN IS_ROLE_IN_SESSION('INSIGHTMART_LOADER') OR IS_ROLE_IN_SESSION('INSIGHTMART_TRANSFORMER') THEN value
        WHEN SYSTEM$GET_TAG_ON_CURRENT_COLUMN('INSIGHTMART.GOVERNANCE.PERSONAL') = 'no' THEN value
        WHEN value IS NULL THEN NULL
        ELSE '(masked)'
    END;
ALTER TAG INSIGHTMART.GOVERNANCE.PERSONAL SET MASKING POLICY INSIGHTMART.GOVERNANCE.PERSONAL_TEXT FORCE;

-- A tag of a schema holds for every text in it, whoever creates the table or view, and when: SQLMesh replaces views and
-- names physical tables anew with each version, and tags of their columns would be gone.
ALTER SCHEMA INSIGHTMART.RAW SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
ALTER SCHEMA INSIGHTMART.STAGING SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
ALTER SCHEMA INSIGHTMART.QUARANTINE SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
ALTER SCHEMA INSIGHTMART.CORE SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
ALTER SCHEMA INSIGHTMART."sqlmesh__STAGING" SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
ALTER SCHEMA INSIGHTMART."sqlmesh__QUARANTINE" SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
ALTER SCHEMA INSIGHTMART."sqlmesh__CORE" SET TAG INSIGHTMART.GOVERNANCE.PERSONAL = 'unclassified';
