//! The entries of several partitions. An entry is known by its partition and its id: `17:1700000000000-0`.

use std::collections::BTreeMap;

/// What an entry is known by.
pub(super) fn entry_id(number: usize, id: &str) -> String {
    format!("{number}:{id}")
}

/// The partition and the id of an entry.
pub(super) fn split(entry_id: &str) -> Option<(usize, &str)> {
    let (number, id) = entry_id.split_once(':')?;
    Some((number.parse().ok()?, id))
}

/// The entries of one partition, each with its place in the list that was grouped.
pub(super) struct Group<'a> {
    pub number: usize,
    pub entries: Vec<(usize, &'a str)>,
}

impl<'a> Group<'a> {
    pub fn ids(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|(_, id)| *id)
    }
}

/// Groups entries by their partitions.
pub(super) fn by_partition<'a>(entry_ids: impl IntoIterator<Item = &'a str>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<usize, Vec<(usize, &str)>> = BTreeMap::new();
    for (place, entry_id) in entry_ids.into_iter().enumerate() {
        if let Some((number, id)) = split(entry_id) {
            groups.entry(number).or_default().push((place, id));
        }
    }
    groups.into_iter().map(|(number, entries)| Group { number, entries }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_known_by_its_partition_and_its_id() {
        assert_eq!(split(&entry_id(17, "5-0")), Some((17, "5-0")));
        for other in ["", "5-0", ":5-0", "x:5-0", "0"] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn entries_are_grouped_with_their_places() {
        let groups = by_partition(["3:1-0", "0:2-0", "3:0-5", "odd"]);
        let groups: Vec<_> = groups.iter().map(|one| (one.number, one.entries.clone())).collect();
        assert_eq!(groups, [(0, vec![(1, "2-0")]), (3, vec![(0, "1-0"), (2, "0-5")])]);
    }
}
