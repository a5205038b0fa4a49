//! Asks the table of a queue's workers, which is in Redis once for all partitions ([`super::leases`]).

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Value};

use super::super::entries::int;
use super::leases::{Change, Table};
use crate::keys::AuditKeys;
use crate::redis::script::Script;

static LEASES: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/leases.lua")));

/// Announces a worker for so long, and asks for changes. A worker that is announced for no time leaves.
pub(super) fn announce(
    keys: &AuditKeys,
    consumer: &str,
    (alive, changes): (Duration, &[Change]),
    with_source: bool,
) -> Cmd {
    let mut command = LEASES.command(with_source, &[&keys.workers, &keys.leases]);
    command.arg(consumer).arg(alive.as_millis() as u64);
    for change in changes {
        command.arg(match change {
            Change::Take(one) => format!("+{one}"),
            Change::Give(one) => format!("-{one}"),
        });
    }
    command
}

/// What the table says. One that says nothing is empty.
pub(super) fn read(reply: Value) -> Table {
    let Value::Array(parts) = reply else { return Table::default() };
    let Ok([workers, mine, others]) = <[Value; 3]>::try_from(parts) else {
        return Table::default();
    };
    Table {
        workers: usize::try_from(int(&workers)).unwrap_or_default(),
        mine: numbers(mine),
        others: numbers(others),
    }
}

fn numbers(list: Value) -> BTreeSet<usize> {
    let Value::Array(numbers) = list else { return BTreeSet::new() };
    numbers.iter().filter_map(|one| usize::try_from(int(one)).ok()).collect()
}
