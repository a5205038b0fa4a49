//! One change of a session, as it travels.

/// One change of a session on its way to PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// UUID v7, made when the record is. Primary key of `sync_events`.
    pub id: String,
    /// The session that changed.
    pub session_id: String,
    /// What happened to it: `session_created`, `session_updated` or a word of the caller's.
    pub event_type: String,
    /// When it was queued, milliseconds since the epoch.
    pub at_ms: i64,
    /// The document: JSON text of the whole state. None for a deletion.
    pub state: Option<String>,
}

/// A fresh UUID v7 (RFC 9562) as text: 48 bits of time, so that ids sort by age and PostgreSQL
/// adds them at the end of its index; the rest is random.
pub fn new_id(now_ms: i64) -> String {
    let time = u128::from(now_ms.max(0).unsigned_abs() & 0xffff_ffff_ffff) << 80;
    let random = fastrand::u128(..) & 0x0fff_3fff_ffff_ffff_ffff;
    let id = time | random | 0x7000_8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 64) & 0xffff,
        (id >> 48) & 0xffff,
        id & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_7_and_says_when() {
        let id = new_id(0x0199_1234_5678);
        assert!(id.starts_with("01991234-5678-7"), "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_eq!(id.len(), 36);
        assert_eq!(new_id(-5)[..14], *"00000000-0000-");
    }

    #[test]
    fn ids_of_one_millisecond_differ_and_later_ones_sort_after_them() {
        let ids: std::collections::BTreeSet<String> = (0..10_000).map(|_| new_id(1000)).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| *id < new_id(1001)));
    }
}
