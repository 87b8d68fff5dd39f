MODEL (
  name ops.rules,
  kind SEED (
    path '../../seeds/rules.csv',
    csv_settings (keep_default_na = FALSE, na_values = (
        ''
    ))
  ),
  description 'What every quarantine rule means, how much a broken one matters and who owns it; one row is one rule of one entity. An entity that ends in * stands for all entities of that source. Severity: high where money is missing from the figures or a whole file is, medium for control totals and stock, low for the rest.',
  columns (
    rule_id VARCHAR,
    entity VARCHAR,
    meaning VARCHAR,
    severity VARCHAR,
    owner VARCHAR
  ),
  column_descriptions (
    rule_id = 'Rule, as in rule_ids and reasons of quarantine tables and in raw.rejects',
    entity = 'Quarantine table of the rule, or source_* for all of a source',
    meaning = 'What is wrong with a row that breaks it',
    severity = 'high, medium or low',
    owner = 'Team that can have the source corrected'
  ),
  grain (rule_id, entity),
  tags (
    quarantine
  )
)
