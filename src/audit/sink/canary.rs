//! Records that are certainly valid.
//!
//! Whether a refusal concerns one record or the tables cannot be told by its code: a column that
//! somebody has added, a trigger or a missing partition refuses every record. So after a refusal the
//! sink tries to store these records, and takes them back. If they are refused as well, the tables
//! are at fault.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::json;

use super::table::{Kind, Tables, timestamp};
use crate::operation::record::{Record, new_id};

/// Two states of a session that does not exist, to be stored one after the other: the first inserts
/// its row, the second updates it.
pub(super) fn canaries(tables: &Tables) -> [Record; 2] {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since_epoch.as_millis()).unwrap_or_default();
    let date = timestamp(DateTime::from_timestamp_millis(now_ms).unwrap_or_default());
    let session_id = new_id(now_ms);
    let mode = match tables.sessions.kind("sync_mode") {
        Some(Kind::Enum(labels)) => labels.first().map(String::as_str),
        _ => None,
    };
    [1, 2].map(|version| {
        let state = json!({
            "session_id": session_id,
            "version": version,
            "sync_mode": mode.unwrap_or("per_participant"),
            "status": "running",
            "participants": [],
            "time_per_cycle_ms": 0,
            "increment_ms": 0,
            "max_time_ms": 0,
            "session_started_at": date,
            "created_at": date,
            "updated_at": date,
        });
        Record {
            id: new_id(now_ms),
            session_id: session_id.clone(),
            event_type: "session_updated".into(),
            at_ms: now_ms,
            state: Some(state.to_string()),
            metadata: None,
            position: None,
            is_write: false,
        }
    })
}
