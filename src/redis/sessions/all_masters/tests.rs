//! What no real server shows at will.

use super::*;
use crate::engine::subscription::Update;
use crate::redis::settings::Settings;

/// A partition that has just moved from the first of two masters to the second.
fn moved() -> AllMasters {
    let settings = serde_json::from_str::<Settings>(r#"{"host":"h","port":1,"db":0}"#);
    let options = settings.expect("settings").into_options().expect("options");
    let (connection, _task) =
        Connection::new(options.clone(), Arc::new(|_| {}), Arc::new(|_| true));
    assert!(connection.layout().is_partitioned(1));
    let mut all = AllMasters::new(options, connection, Keys::default(), Arc::new(|_| {}));
    let endpoint = |port| Endpoint { host: String::from("h"), port };
    let master = |id: MasterId, parts: &[usize]| Followed {
        id,
        endpoint: endpoint(id as u16),
        parts: parts.iter().copied().collect(),
        ordered: 0,
        confirmed: None,
        orders: mpsc::unbounded_channel().0,
        _task: JoinSet::new(),
    };
    all.masters = vec![master(1, &[]), master(2, &[0])];
    all.parts = vec![Part { owner: Some(endpoint(2)), is_heard: false, lost_at: None }];
    all
}

fn update() -> Event {
    let (session_id, key_prefix, document) = (String::from("a"), None, None);
    Event::Update(Update { session_id, key_prefix, document })
}

fn published() -> Told {
    Told::Published { part: 0, event: update() }
}

fn confirmed(parts: &[usize]) -> Told {
    Told::Confirmed { number: 0, parts: parts.iter().copied().collect() }
}

#[tokio::test]
async fn a_message_counts_only_if_it_comes_from_the_master_that_has_the_partition() {
    let mut all = moved();
    assert_eq!(all.heard(2, confirmed(&[0])), None);
    assert_eq!(all.heard(1, published()), None, "the old master's may be older than a re-read");
    assert_eq!(all.heard(2, published()), Some(update()));
    assert_eq!(all.heard(3, published()), None, "nobody knows this master any more");
}

#[tokio::test]
async fn a_message_counts_only_once_its_partition_is_heard() {
    let mut all = moved();
    assert_eq!(all.heard(2, published()), None);
    assert_eq!(all.heard(1, confirmed(&[0])), None);
    assert_eq!(all.heard(2, published()), None, "the old master's word is not the new one's");
    assert_eq!(all.heard(2, confirmed(&[0])), None);
    assert_eq!(all.heard(2, published()), Some(update()));
    assert!(all.heard(2, Told::Moved { part: 0 }).is_some());
    assert_eq!(all.heard(2, published()), None);
}

#[tokio::test]
async fn a_partition_is_missed_from_its_loss_until_it_is_caught_up_on() {
    let mut all = moved();
    all.heard(2, confirmed(&[0]));
    let gap = |event: Option<Event>| match event {
        Some(Event::Confirmed { gap, .. }) => gap.and_then(|gap| gap.parts),
        _ => None,
    };
    assert_eq!(gap(all.confirmed()), None, "nothing was missed before");
    all.heard(2, Told::Moved { part: 0 });
    all.heard(2, confirmed(&[0]));
    assert_eq!(gap(all.confirmed()), Some(BTreeSet::from([0])));
    // It is lost again while it is caught up on.
    all.heard(2, Told::Moved { part: 0 });
    all.caught_up();
    all.heard(2, confirmed(&[0]));
    assert_eq!(gap(all.confirmed()), Some(BTreeSet::from([0])));
    all.caught_up();
    all.heard(2, confirmed(&[0]));
    assert_eq!(gap(all.confirmed()), None);
}
