CREATE TABLE adjustments (
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  budget TEXT NOT NULL,
  period INTEGER NOT NULL,
  delta_pusd INTEGER NOT NULL,
  reason TEXT NOT NULL,
  actor TEXT DEFAULT '' NOT NULL,
  source TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_adjustments PRIMARY KEY (seq),
  CONSTRAINT uq_adjustments_id UNIQUE (id)
)
 STRICT;
CREATE TABLE alert_states (
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  value TEXT NOT NULL,
  CONSTRAINT pk_alert_states PRIMARY KEY (rule, subject)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE asked_quarters (
  quarter INTEGER NOT NULL,
  name TEXT NOT NULL,
  CONSTRAINT pk_asked_quarters PRIMARY KEY (quarter, name)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE attempts (
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  asked TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  served TEXT,
  status INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT,
  message TEXT,
  stream INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  hold_pusd INTEGER NOT NULL,
  source TEXT NOT NULL,
  first_byte_ms INTEGER,
  total_ms INTEGER NOT NULL,
  upstream_id TEXT,
  adjusted TEXT NOT NULL,
  counts_call INTEGER NOT NULL,
  times INTEGER DEFAULT '1' NOT NULL,
  first_token_ms INTEGER,
  waited_ms INTEGER,
  sent_ms INTEGER,
  connect_ms INTEGER,
  session TEXT DEFAULT '' NOT NULL,
  tags TEXT DEFAULT '' NOT NULL,
  tenant TEXT DEFAULT '' NOT NULL,
  use_case TEXT DEFAULT '' NOT NULL,
  decision TEXT DEFAULT '' NOT NULL,
  arm TEXT DEFAULT '' NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_attempts PRIMARY KEY (seq),
  CONSTRAINT uq_attempts_id UNIQUE (id)
)
 STRICT;
CREATE INDEX ix_attempts_at_ms ON attempts (at_ms);
CREATE INDEX ix_attempts_failed ON attempts (at_ms) WHERE status >= 400 OR error IS NOT NULL;
CREATE INDEX ix_attempts_session ON attempts (session, at_ms) WHERE session <> '';
CREATE INDEX ix_attempts_tagged ON attempts (at_ms) WHERE tags <> '';
CREATE TABLE audit (
  seq INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  "before" TEXT,
  "after" TEXT,
  reason TEXT NOT NULL,
  tenant TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL,
  CONSTRAINT pk_audit PRIMARY KEY (seq)
)
 STRICT;
CREATE INDEX ix_audit_at_ms ON audit (at_ms);
CREATE TABLE bill_corrections (
  provider TEXT NOT NULL,
  tenant TEXT NOT NULL,
  day TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  delta_pusd INTEGER NOT NULL,
  cause TEXT NOT NULL,
  CONSTRAINT pk_bill_corrections PRIMARY KEY (provider, tenant, day)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE bill_days (
  provider TEXT NOT NULL,
  tenant TEXT NOT NULL,
  day TEXT NOT NULL,
  value TEXT NOT NULL,
  CONSTRAINT pk_bill_days PRIMARY KEY (provider, tenant, day)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE budget_spent (
  budget TEXT NOT NULL,
  period INTEGER NOT NULL,
  spent_pusd INTEGER NOT NULL,
  alerted_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_budget_spent PRIMARY KEY (budget, period)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE catalogue_changes (
  seq INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  "before" TEXT NOT NULL,
  "after" TEXT NOT NULL,
  aliases TEXT NOT NULL,
  CONSTRAINT pk_catalogue_changes PRIMARY KEY (seq)
)
 STRICT;
CREATE TABLE configured_keys (
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  sign BLOB NOT NULL,
  is_gone INTEGER NOT NULL,
  CONSTRAINT pk_configured_keys PRIMARY KEY (owner)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE data_keys (
  id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  label TEXT NOT NULL,
  wrapped BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  CONSTRAINT pk_data_keys PRIMARY KEY (id)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE experiments (
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  CONSTRAINT pk_experiments PRIMARY KEY (name)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE feedback (
  request_id TEXT NOT NULL,
  label TEXT NOT NULL,
  "key" TEXT NOT NULL,
  score_milli INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  CONSTRAINT pk_feedback PRIMARY KEY (request_id, label)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE flags (
  request_id TEXT NOT NULL,
  flag TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  CONSTRAINT pk_flags PRIMARY KEY (request_id, flag)
)
 WITHOUT ROWID,
 STRICT;
CREATE INDEX ix_flags_at_ms ON flags (at_ms);
CREATE TABLE journal_position (
  one INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  CONSTRAINT pk_journal_position PRIMARY KEY (one),
  CONSTRAINT ck_journal_position_one CHECK (one = 1)
)
 STRICT;
CREATE TABLE keys (
  seq INTEGER NOT NULL,
  name TEXT NOT NULL,
  key_hmac BLOB NOT NULL,
  models TEXT NOT NULL,
  limits TEXT NOT NULL,
  budgets TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  revoked_ms INTEGER,
  last_used_ms INTEGER,
  timing INTEGER DEFAULT '0' NOT NULL,
  tenant TEXT DEFAULT '' NOT NULL,
  lossy TEXT DEFAULT '' NOT NULL,
  coalesce TEXT DEFAULT '' NOT NULL,
  cache TEXT DEFAULT '' NOT NULL,
  uid INTEGER,
  owner TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_keys PRIMARY KEY (seq),
  CONSTRAINT uq_keys_key_hmac UNIQUE (key_hmac)
)
 STRICT;
CREATE UNIQUE INDEX ux_keys_live_name ON keys (name) WHERE revoked_ms IS NULL;
CREATE TABLE outbox (
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  hook TEXT NOT NULL,
  body TEXT NOT NULL,
  made_ms INTEGER NOT NULL,
  CONSTRAINT pk_outbox PRIMARY KEY (seq)
)
 STRICT;
CREATE TABLE rollup_days (
  cube INTEGER NOT NULL,
  day INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  tenant TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  source TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  first_token_ms TEXT NOT NULL,
  total_ms TEXT NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_rollup_days PRIMARY KEY (cube, day, "key", tenant, provider, model, endpoint, source)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE rollup_hours (
  cube INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  tenant TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  source TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  first_token_ms TEXT NOT NULL,
  total_ms TEXT NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_rollup_hours PRIMARY KEY (cube, hour, "key", tenant, provider, model, endpoint, source)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE rollup_labels (
  kind TEXT NOT NULL,
  hour INTEGER NOT NULL,
  label TEXT NOT NULL,
  "key" TEXT NOT NULL,
  tenant TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  source TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  first_token_ms TEXT NOT NULL,
  total_ms TEXT NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_rollup_labels PRIMARY KEY (kind, hour, label, "key", tenant, provider, model, endpoint, source)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE rollup_minutes (
  minute INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  tenant TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  source TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  first_token_ms TEXT NOT NULL,
  total_ms TEXT NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_rollup_minutes PRIMARY KEY (minute, "key", tenant, provider, model, endpoint, source)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE rollup_state (
  one INTEGER NOT NULL,
  folded INTEGER NOT NULL,
  filled_seq INTEGER NOT NULL,
  fill_until_seq INTEGER NOT NULL,
  labels_seq INTEGER DEFAULT '0' NOT NULL,
  labels_until_seq INTEGER DEFAULT '0' NOT NULL,
  asked_seq INTEGER DEFAULT '0' NOT NULL,
  asked_until_seq INTEGER DEFAULT '0' NOT NULL,
  summed_seq INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_rollup_state PRIMARY KEY (one),
  CONSTRAINT ck_rollup_state_one CHECK (one = 1)
)
 STRICT;
CREATE TABLE rollup_tools (
  day INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  tool TEXT NOT NULL,
  tenant TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL,
  called INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  CONSTRAINT pk_rollup_tools PRIMARY KEY (day, "key", tool, tenant, provider, model)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE settings (
  seq INTEGER NOT NULL,
  section TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  value TEXT,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  CONSTRAINT pk_settings PRIMARY KEY (seq),
  CONSTRAINT uq_settings_section UNIQUE (section, name, version)
)
 STRICT;
CREATE TABLE sums (
  quarter INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  source TEXT NOT NULL,
  tenant TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_sums PRIMARY KEY (quarter, "key", provider, model, source, tenant)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE sums_by_day (
  "key" TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  source TEXT NOT NULL,
  tenant TEXT NOT NULL,
  day INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_sums_by_day PRIMARY KEY ("key", provider, model, source, tenant, day)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE sums_by_quarter (
  quarter INTEGER NOT NULL,
  source TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_sums_by_quarter PRIMARY KEY (quarter, source)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE sums_by_session (
  quarter INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  source TEXT NOT NULL,
  tenant TEXT NOT NULL,
  session TEXT NOT NULL,
  calls INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cached_input_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  cost_pusd INTEGER NOT NULL,
  saved_pusd INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_sums_by_session PRIMARY KEY (quarter, "key", provider, model, source, tenant, session)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE unsummed_spent (
  seq INTEGER NOT NULL,
  charges TEXT NOT NULL,
  amounts TEXT NOT NULL,
  CONSTRAINT pk_unsummed_spent PRIMARY KEY (seq)
)
 STRICT;
CREATE TABLE use_case_versions (
  name TEXT NOT NULL,
  number INTEGER NOT NULL,
  digest TEXT NOT NULL,
  content TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  CONSTRAINT pk_use_case_versions PRIMARY KEY (name, number)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  PRIMARY KEY (version_num)
);
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'rows are only added'); END;
