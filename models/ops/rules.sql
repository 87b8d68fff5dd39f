MODEL (
  name ops.rules,
  kind VIEW,
  start '1970-01-01',
  cron '@yearly',
  description 'What every quarantine rule means, how much a broken one matters and who owns it; one row is one rule of one entity. Written in models/staging/rules.yml.',
  grain (rule_id, entity),
  tags (
    quarantine
  )
);

WITH described AS (
  @described_rules()
)
SELECT
  rule_id::VARCHAR AS rule_id, /* Rule, as in rule_ids and reasons of quarantine tables and in raw.rejects */
  entity::VARCHAR AS entity, /* Quarantine table of the rule, or source_* for all of a source */
  meaning::VARCHAR AS meaning, /* What is wrong with a row that breaks it */
  severity::VARCHAR AS severity, /* high, medium or low */
  owner::VARCHAR AS owner, /* Team that can have the source corrected */
  condition::VARCHAR AS condition /* What a bad row looks like, in SQL; NULL where ingestion checks */
FROM described
