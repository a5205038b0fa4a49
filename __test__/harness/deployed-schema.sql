-- The tables that services have today: what they audit to, before any migrate().

CREATE TYPE sync_mode AS ENUM ('per_participant', 'per_cycle', 'per_group', 'global', 'count_up');

CREATE TYPE sync_status AS ENUM ('pending', 'running', 'paused', 'expired', 'completed', 'cancelled');

CREATE TABLE sync_sessions (
  session_id uuid PRIMARY KEY,
  sync_mode sync_mode NOT NULL,
  time_per_cycle_ms int,
  increment_ms int DEFAULT 0,
  max_time_ms int,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  completed_at timestamptz,
  final_status sync_status,
  total_cycles int DEFAULT 0,
  total_participants int DEFAULT 0,
  metadata jsonb DEFAULT '{}',
  last_updated_at timestamptz
);

CREATE INDEX idx_sync_sessions_created_at ON sync_sessions (created_at);

CREATE TABLE sync_events (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id uuid NOT NULL,
  event_type varchar(50) NOT NULL,
  participant_id uuid,
  group_id uuid,
  time_remaining_ms int,
  time_elapsed_ms int,
  cycle_number int,
  timestamp timestamptz NOT NULL,
  state_snapshot jsonb,
  metadata jsonb DEFAULT '{}'
);

CREATE INDEX idx_sync_events_session_id ON sync_events (session_id);

CREATE INDEX idx_sync_events_timestamp ON sync_events (timestamp);

-- Exists, and nothing writes it.
CREATE TABLE sync_participants (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id uuid NOT NULL,
  participant_id uuid NOT NULL,
  participant_index int NOT NULL,
  group_id uuid,
  total_time_ms int,
  time_used_ms int DEFAULT 0,
  cycle_count int DEFAULT 0,
  metadata jsonb DEFAULT '{}'
);
