//! What must be true of every history.

use std::collections::HashMap;

use tokio::time::Duration;

use super::request::{Asked, Kind, Told};
use super::server::Rights;
use super::world::World;
use crate::redis::role::ROLE_AGE;

/// By how much an outcome may come after its deadline: the deadlines are looked at in steps.
const LATE: Duration = Duration::from_millis(10);

/// How often something was seen, in all histories together.
#[derive(Default)]
pub struct Seen {
    outcomes: HashMap<&'static str, u32>,
}

impl Seen {
    /// A simulation in which something never happens proves nothing about it.
    pub fn assert_varied(&self) {
        for outcome in [
            "done",
            "refused",
            "unavailable",
            "unknown",
            "repeated",
            "refused for now",
            "replicated",
            "not replicated",
            "repeated and replicated",
            "read again",
            "stale",
        ] {
            let count = self.outcomes.get(outcome).copied().unwrap_or(0);
            assert!(count > 20, "{outcome}: {count}, of {:?}", self.outcomes);
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.outcomes.entry(what).or_default() += 1;
    }
}

/// Compares what callers were told with what has happened.
pub fn check(world: &World, seen: &mut Seen) -> Result<(), String> {
    for asked in &world.asked {
        check_one(world, asked, seen).map_err(|fault| format!("request {}: {fault}", asked.id))?;
    }
    if world.server.rights.fence {
        check_order(world)?;
    }
    Ok(())
}

fn check_one(world: &World, asked: &Asked, seen: &mut Seen) -> Result<(), String> {
    let outcomes = asked.outcomes();
    let [told] = outcomes.as_slice() else { return Err(format!("told {outcomes:?}")) };
    let (settled, replies) = world.settled[&asked.id];
    if settled > asked.deadline + LATE {
        return Err(format!("settled {:?} late", settled - asked.deadline));
    }
    let answers: Vec<i64> = world
        .server
        .executed
        .iter()
        .filter(|one| one.id == asked.id)
        .map(|one| one.answer)
        .collect();
    let executed = answers.len();
    if executed > 1 {
        return Err(format!("executed {executed} times"));
    }
    let tries = world.tries.get(&asked.id).copied().unwrap_or(0);
    if tries > replies && replies > 0 {
        seen.count("repeated");
    }
    if world.server.refused.contains(&asked.id) {
        seen.count("refused for now");
    }
    match told {
        Told::Done(answer) => {
            seen.count("done");
            check_replicas(world, asked, seen)?;
            check_role(world, asked, *answer, seen)?;
            if tries > 1 && asked.replicas.is_some() {
                seen.count("repeated and replicated");
            }
            if asked.changes() && answers != [*answer] {
                return Err(format!("done with {answer}, and executed with {answers:?}"));
            }
        }
        Told::Refused => {
            seen.count("refused");
            if executed != 0 {
                return Err(String::from("refused, and executed"));
            }
        }
        Told::Unavailable(reason) => {
            seen.count("unavailable");
            if executed != 0 {
                return Err(format!("executed, and told that nothing changed: {reason}"));
            }
        }
        Told::Unknown(reason) => {
            seen.count("unknown");
            if asked.kind == Kind::Read {
                return Err(format!("a read with an unknown outcome: {reason}"));
            }
            if asked.replicas.is_some() && reason.contains("0 of 1 replicas") {
                seen.count("not replicated");
                return if executed == 1 { Ok(()) } else { Err(format!("not executed: {reason}")) };
            }
            // Of a transaction a part may have been answered, and the rest not sent.
            let may_be_answered = asked.kind == Kind::Transaction || asked.replicas.is_some();
            if tries <= replies && !may_be_answered {
                return Err(format!("unknown, though every try was answered: {reason}"));
            }
        }
    }
    Ok(())
}

/// What is done is on as many replicas as the caller has asked for.
fn check_replicas(world: &World, asked: &Asked, seen: &mut Seen) -> Result<(), String> {
    if asked.replicas.is_some() {
        seen.count("replicated");
        if !world.server.replicated.contains(&asked.id) {
            return Err(String::from("done, and the replica does not have it"));
        }
    }
    Ok(())
}

/// A server that has become a replica answers no read that is called much later.
fn check_role(world: &World, asked: &Asked, answer: i64, seen: &mut Seen) -> Result<(), String> {
    let Some(demoted) = world.server.stale.get(&asked.id) else { return Ok(()) };
    if answer >= 0 {
        seen.count("read again");
        return Ok(());
    }
    seen.count("stale");
    let Rights { hello, role, .. } = world.server.rights;
    if (hello || role) && asked.called > *demoted + ROLE_AGE {
        let late = asked.called - *demoted;
        return Err(format!("answered by a server that was a replica for {late:?}"));
    }
    Ok(())
}

/// Changes of a session are executed in the order of their calls, and reads see those before them.
fn check_order(world: &World) -> Result<(), String> {
    let mut last: HashMap<u64, i64> = HashMap::new();
    for one in &world.server.executed {
        let is_opaque = |kind| matches!(kind, Kind::Opaque | Kind::Transaction);
        if world.asked.iter().any(|asked| asked.id == one.id && is_opaque(asked.kind)) {
            continue;
        }
        let before = last.insert(one.session, one.id);
        if before.is_some_and(|before| before > one.id) {
            return Err(format!("request {} was executed after {before:?}", one.id));
        }
    }
    for read in world.asked.iter().filter(|asked| asked.kind == Kind::Read) {
        let [Told::Done(found)] = read.outcomes()[..] else { continue };
        let found = if found < 0 { -1 - found } else { found };
        let writes: Vec<_> = world
            .asked
            .iter()
            .filter(|write| write.id < read.id && write.session == read.session)
            .filter(|write| matches!(write.kind, Kind::Write | Kind::Locked { .. }))
            .collect();
        // A read passes a write that is refused, and what is held behind that.
        if writes.iter().any(|write| world.server.refused.contains(&write.id)) {
            continue;
        }
        for write in writes {
            if let [Told::Done(written)] = write.outcomes()[..]
                && found < written
            {
                return Err(format!("read {} found {found}, after {}", read.id, write.id));
            }
        }
    }
    Ok(())
}
