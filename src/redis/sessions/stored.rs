//! Re-reading after a gap: what is stored now, and its moment among the messages.

use redis::Value;

use crate::engine::subscription::Stored;
use crate::redis::subscriber::{Subscriber, Unanswered};

/// Reads the sessions at these keys, which are of one slot in a cluster. `None` where Redis refuses.
pub(super) async fn reread(
    subscriber: &mut Subscriber,
    keys: &[String],
    marker: u64,
) -> Result<Option<Vec<Stored>>, Unanswered> {
    // Refused (a user that may not read): what changed shows with the next update.
    let Some(Value::Array(values)) = subscriber.ask("MGET", keys, marker).await? else {
        return Ok(None);
    };
    let mut stored: Vec<Stored> = values.into_iter().map(stored_as).collect();
    tell_foreign(subscriber, keys, &mut stored, marker).await?;
    Ok(Some(stored))
}

/// Tells the keys of another type among those that `MGET` has found nothing for from the keys that
/// are missing.
async fn tell_foreign(
    subscriber: &mut Subscriber,
    keys: &[String],
    stored: &mut [Stored],
    marker: u64,
) -> Result<(), Unanswered> {
    let missing: Vec<(usize, String)> = keys
        .iter()
        .enumerate()
        .filter(|(place, _)| stored.get(*place) == Some(&Stored::Nothing))
        .map(|(place, key)| (place, key.clone()))
        .collect();
    let keys: Vec<String> = missing.iter().map(|(_, key)| key.clone()).collect();
    if keys.is_empty() || !exists(subscriber, &keys, marker).await? {
        return Ok(());
    }
    for (place, key) in missing {
        if exists(subscriber, &[key], marker).await?
            && let Some(stored) = stored.get_mut(place)
        {
            *stored = Stored::Foreign;
        }
    }
    Ok(())
}

/// Whether any of the keys exists.
async fn exists(
    subscriber: &mut Subscriber,
    keys: &[String],
    marker: u64,
) -> Result<bool, Unanswered> {
    let answer = subscriber.ask("EXISTS", keys, marker).await?;
    Ok(matches!(answer, Some(Value::Int(count)) if count > 0))
}

fn stored_as(value: Value) -> Stored {
    match value {
        Value::Nil => Stored::Nothing,
        value => redis::from_redis_value(value).map_or(Stored::Foreign, Stored::Document),
    }
}
