-- The tables of the audit. A table that is there stays as it is, whoever made it, and gets no
-- index either; nothing is ever dropped. Run inside a transaction.
--
-- Against the tables that services have had so far: ids may be any string, milliseconds do not
-- overflow, and a new mode or status needs no migration.

DO $$
BEGIN
  IF to_regclass('sync_sessions') IS NULL THEN
    CREATE TABLE sync_sessions (
      session_id text PRIMARY KEY,
      sync_mode text NOT NULL,
      time_per_cycle_ms bigint,
      increment_ms bigint DEFAULT 0,
      max_time_ms bigint,
      created_at timestamptz NOT NULL,
      started_at timestamptz,
      completed_at timestamptz,
      final_status text,
      total_cycles bigint DEFAULT 0,
      total_participants bigint DEFAULT 0,
      metadata jsonb DEFAULT '{}',
      last_updated_at timestamptz
    );
    CREATE INDEX sync_sessions_created_at ON sync_sessions (created_at);
  END IF;

  IF to_regclass('sync_events') IS NULL THEN
    CREATE TABLE sync_events (
      id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
      session_id text NOT NULL,
      event_type varchar(50) NOT NULL,
      participant_id text,
      group_id text,
      time_remaining_ms bigint,
      time_elapsed_ms bigint,
      cycle_number bigint,
      timestamp timestamptz NOT NULL,
      state_snapshot jsonb,
      metadata jsonb DEFAULT '{}'
    );
    CREATE INDEX sync_events_session_id_timestamp ON sync_events (session_id, timestamp);
    CREATE INDEX sync_events_timestamp ON sync_events (timestamp);
  END IF;
END
$$;
