-- The table of the events in SQLite. It refuses what PostgreSQL's refuses: a long `event_type`, and
-- text that is no JSON. Run inside a transaction, if the table is missing.

CREATE TABLE sync_events (
  id TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL,
  event_type TEXT NOT NULL CHECK (length(event_type) <= 50),
  participant_id TEXT,
  group_id TEXT,
  time_remaining_ms INTEGER,
  time_elapsed_ms INTEGER,
  cycle_number INTEGER,
  timestamp TEXT NOT NULL,
  state_snapshot TEXT CHECK (json_valid(state_snapshot)),
  metadata TEXT DEFAULT '{}' CHECK (json_valid(metadata))
);
CREATE INDEX sync_events_session_id_timestamp ON sync_events (session_id, timestamp);
CREATE INDEX sync_events_timestamp ON sync_events (timestamp);
