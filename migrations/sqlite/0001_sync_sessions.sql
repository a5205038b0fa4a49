-- The table of the sessions in SQLite. Dates are ISO 8601 in UTC. Run inside a transaction, if the
-- table is missing.

CREATE TABLE sync_sessions (
  session_id TEXT NOT NULL PRIMARY KEY,
  sync_mode TEXT NOT NULL,
  time_per_cycle_ms INTEGER,
  increment_ms INTEGER DEFAULT 0,
  max_time_ms INTEGER,
  created_at TEXT NOT NULL,
  started_at TEXT,
  completed_at TEXT,
  final_status TEXT,
  total_cycles INTEGER DEFAULT 0,
  total_participants INTEGER DEFAULT 0,
  metadata TEXT DEFAULT '{}' CHECK (json_valid(metadata)),
  last_updated_at TEXT
);
CREATE INDEX sync_sessions_created_at ON sync_sessions (created_at);
