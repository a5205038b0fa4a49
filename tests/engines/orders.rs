//! In which orders operations may be executed that were asked together.
//!
//! A handle executes operations on one session in the order in which they were asked. Those that wait
//! for nothing go out at once, so they keep their order, too, and are executed before what waits.
//! Operations of different handles, and what waits with another session, have no order.

use crate::history::{History, Op, Step};
use crate::names::{IDS, Names};

/// The most orders of one step that are tried.
const MOST: usize = 300;

/// The orders of each step that asks several operations, the likeliest first.
pub fn orders(history: &History, names: &Names) -> Vec<Vec<Vec<usize>>> {
    let together = history.steps.iter().filter_map(|step| match step {
        Step::Together(ops) => Some(ops),
        _ => None,
    });
    together.map(|ops| of_step(ops, names)).collect()
}

fn of_step(ops: &[(usize, Op)], names: &Names) -> Vec<Vec<usize>> {
    let keys: Vec<Option<String>> = ops.iter().map(|(_, op)| key(op, names)).collect();
    let is_same =
        |i: usize, j: usize| ops[i].0 == ops[j].0 && keys[i].is_some() && keys[i] == keys[j];
    let waits_for = |i: usize, j: usize| {
        is_same(i, j) && (is_write(&ops[i].1) || is_message(&ops[i].1) && !is_read(&ops[j].1))
    };
    let waits: Vec<bool> = (0..ops.len()).map(|j| (0..j).any(|i| waits_for(i, j))).collect();
    let comes_first = |i: usize, j: usize| ops[i].0 == ops[j].0 && (is_same(i, j) || !waits[i]);
    let mut found = Vec::new();
    extend(&mut Vec::new(), ops.len(), &comes_first, &mut found);
    found
}

/// All orders that begin with these, as far as there is room.
fn extend(
    begun: &mut Vec<usize>,
    count: usize,
    comes_first: &impl Fn(usize, usize) -> bool,
    found: &mut Vec<Vec<usize>>,
) {
    if found.len() >= MOST {
        return;
    }
    if begun.len() == count {
        return found.push(begun.clone());
    }
    for next in 0..count {
        let is_ready = (0..next).all(|i| begun.contains(&i) || !comes_first(i, next));
        if !begun.contains(&next) && is_ready {
            begun.push(next);
            extend(begun, count, comes_first, found);
            begun.pop();
        }
    }
}

fn key(op: &Op, names: &Names) -> Option<String> {
    match op {
        Op::Get(session)
        | Op::Write(session, ..)
        | Op::Delete(session)
        | Op::Touch(session)
        | Op::Broadcast(session, _) => Some(names.keys[session.namespace].session(IDS[session.id])),
        _ => None,
    }
}

fn is_write(op: &Op) -> bool {
    matches!(op, Op::Write(..) | Op::Delete(_) | Op::Touch(_))
}

fn is_message(op: &Op) -> bool {
    matches!(op, Op::Broadcast(..))
}

fn is_read(op: &Op) -> bool {
    matches!(op, Op::Get(_))
}
