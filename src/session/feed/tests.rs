use std::sync::{Arc, Mutex};

use tokio::task::yield_now;

use super::*;

/// Says what happens when, and what is stored. The part of a session is its first letter.
struct Script {
    events: mpsc::UnboundedReceiver<Event>,
    stored: Arc<Mutex<HashMap<String, String>>>,
}

impl Subscription for Script {
    async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    async fn listen_to(&mut self, _interest: Interest) -> Result<Listening, Event> {
        Ok(Listening::Confirmed)
    }

    fn part(&self, session_id: &str) -> usize {
        session_id.bytes().next().map_or(0, usize::from)
    }

    async fn reread(
        &mut self,
        session_ids: &[String],
        _marker: u64,
    ) -> Result<Option<Vec<Stored>>, Event> {
        let stored = self.stored.lock().expect("what is stored");
        let one = |id: &String| stored.get(id).cloned().map_or(Stored::Nothing, Stored::Document);
        Ok(Some(session_ids.iter().map(one).collect()))
    }

    fn caught_up(&mut self) {}

    fn give_up(&mut self, _reason: String) -> Option<Event> {
        None
    }

    fn closed(&self) {}
}

struct Ears(mpsc::UnboundedSender<FeedEvent>);

impl Audience for Ears {
    fn tell(&self, event: FeedEvent) {
        let _ = self.0.send(event);
    }

    fn backlog(&self) -> usize {
        0
    }

    fn backlog_bytes(&self) -> usize {
        0
    }
}

fn document(version: u64) -> String {
    format!(r#"{{"version":{version},"created_at":"x","updated_at":"y"}}"#)
}

/// A feed, and what happens to it.
struct World {
    happens: mpsc::UnboundedSender<Event>,
    stored: Arc<Mutex<HashMap<String, String>>>,
    told: mpsc::UnboundedReceiver<FeedEvent>,
    _feed: Feed,
    _closed: watch::Sender<bool>,
}

impl World {
    fn new() -> Self {
        let (happens, events) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let (closed, seen) = watch::channel(false);
        let stored: Arc<Mutex<HashMap<_, _>>> = Arc::default();
        let script = Script { events, stored: stored.clone() };
        let (feed, task) = Feed::new(script, Keys::default(), false, seen, Ears(tell), 1 << 20);
        tokio::spawn(task);
        Self { happens, stored, told, _feed: feed, _closed: closed }
    }

    fn publish(&self, session_id: &str, version: u64) {
        let (session_id, key_prefix) = (session_id.to_owned(), None);
        let document = Some(document(version));
        self.happen(Event::Update(Update { session_id, key_prefix, document }));
    }

    fn happen(&self, event: Event) {
        self.happens.send(event).expect("a feed");
    }

    /// The sessions and versions that were told since the last time.
    async fn told(&mut self) -> Vec<(String, u64)> {
        for _ in 0..20 {
            yield_now().await;
        }
        let mut told = Vec::new();
        while let Ok(event) = self.told.try_recv() {
            if let FeedEvent::Update { session_id, document: Some(document), .. } = event {
                let version = document.split([':', ',']).nth(1).and_then(|one| one.parse().ok());
                told.push((session_id, version.expect("a version")));
            }
        }
        told
    }
}

fn versions(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect()
}

#[tokio::test]
async fn a_marker_releases_the_sessions_of_its_own_reread_alone() {
    let mut world = World::new();
    for id in ["a", "b"] {
        world.publish(id, 1);
        world.stored.lock().expect("what is stored").insert(id.to_owned(), document(3));
    }
    assert_eq!(world.told().await, versions(&[("a", 1), ("b", 1)]));
    let gap = Some(Gap::of_all(Duration::ZERO));
    world.happen(Event::Confirmed { gap, is_all: true });
    assert_eq!(world.told().await, versions(&[("a", 3), ("b", 3)]));
    // The parts have connections of their own, so the marker of the second may come first.
    world.happen(Event::Marker(2));
    world.publish("a", 2);
    world.publish("b", 4);
    assert_eq!(world.told().await, versions(&[("b", 4)]), "what comes before the marker is old");
    world.happen(Event::Marker(1));
    world.publish("a", 4);
    assert_eq!(world.told().await, versions(&[("a", 4)]));
}

#[tokio::test]
async fn a_gap_of_one_part_leaves_the_markers_of_others() {
    let mut world = World::new();
    for id in ["a", "b"] {
        world.publish(id, 1);
        world.stored.lock().expect("what is stored").insert(id.to_owned(), document(3));
    }
    let gap = |parts: &[u8]| {
        let parts = Some(parts.iter().copied().map(usize::from).collect());
        Event::Confirmed { gap: Some(Gap { lasted: Duration::ZERO, parts }), is_all: true }
    };
    world.happen(gap(b"a"));
    assert_eq!(world.told().await, versions(&[("a", 1), ("b", 1), ("a", 3)]));
    world.happen(gap(b"b"));
    world.publish("a", 2);
    assert_eq!(world.told().await, versions(&[("b", 3)]));
}
