//! Names in the private zone: what to change so that people reach a fleet by name.

use super::noun::ServiceRole;
use super::step::{NAMES_A_BATCH, NameChange, Step};
use super::world::Record;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that a resolver may remember a name.
pub const TTL_SECS: u32 = 10;
/// Addresses in `candidate.…` and `live.…` at most; Route 53 itself takes 400 values a record.
pub const ADDRESSES_A_NAME: usize = 100;

/// Which of a service's two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// `candidate.<service>.<zone>`
    Candidate,
    /// `live.<service>.<zone>`
    Live,
}

impl Names {
    /// The name of the whole fleet; `<n>.` before it is the name of one instance.
    pub fn fleet_name(self, role: &ServiceRole, zone: &str) -> String {
        let which = match self {
            Names::Candidate => "candidate",
            Names::Live => "live",
        };
        format!("{which}.{}.{}", role.label(), zone.to_ascii_lowercase())
    }
}

/// The records of a kind: the fleet's own first (if it is there), then each instance's by number.
pub fn of<'a>(existing: &'a [Record], role: &ServiceRole, zone: &str, which: Names) -> Vec<&'a Record> {
    let found = Found::among(existing, &which.fleet_name(role, zone));
    found.fleet.into_iter().chain(found.numbered.into_values()).collect()
}

/// The addresses that the fleet's name holds: at most [`ADDRESSES_A_NAME`] of a fleet. It changes in one
/// call and before the instances' names, so it alone says whose the names are.
pub fn held_by<'a>(existing: &'a [Record], role: &ServiceRole, zone: &str, which: Names) -> &'a [String] {
    Found::among(existing, &which.fleet_name(role, zone)).fleet.map_or(&[], |record| &record.values)
}

/// The changes that make the `which` names exactly those of these addresses; none if they are already.
/// An address keeps its number; without addresses all names of the kind go, with their exact values.
pub fn toward(existing: &[Record], role: &ServiceRole, zone: &str, which: Names, ips: &[String]) -> Vec<NameChange> {
    let base = which.fleet_name(role, zone);
    let found = Found::among(existing, &base);
    let ips: BTreeSet<&str> = ips.iter().map(String::as_str).collect();

    let mut numbers: BTreeMap<u32, &str> = BTreeMap::new();
    let mut nameless = ips.clone();
    for (number, record) in &found.numbered {
        if let [ip] = &record.values[..]
            && nameless.remove(ip.as_str())
        {
            numbers.insert(*number, ip);
        }
    }
    let mut free = 1..;
    for ip in nameless {
        // An endless range always has a number that isn't taken.
        if let Some(number) = free.find(|number| !numbers.contains_key(number)) {
            numbers.insert(number, ip);
        }
    }

    let mut changes = Vec::new();
    let fleet: Vec<&str> = ips.into_iter().take(ADDRESSES_A_NAME).collect();
    changes.extend(change(found.fleet, &base, &fleet));
    let touched: BTreeSet<u32> = found.numbered.keys().chain(numbers.keys()).copied().collect();
    for number in touched {
        let ip = numbers.get(&number).copied();
        changes.extend(change(found.numbered.get(&number).copied(), &format!("{number}.{base}"), ip.as_slice()));
    }
    changes
}

/// As many of the changes as one call takes; none if there is nothing to change.
///
/// Route 53 counts values, not records, and those of an UPSERT twice, up to 1,000 a call.
pub fn batch(zone: &str, changes: Vec<NameChange>) -> Option<Step> {
    let mut room = 2 * NAMES_A_BATCH;
    let changes: Vec<NameChange> = changes
        .into_iter()
        .take_while(|change| {
            let cost = match change {
                NameChange::Upsert(record) => 2 * record.values.len(),
                NameChange::Delete(record) => record.values.len(),
            };
            let fits = cost <= room;
            room = room.saturating_sub(cost);
            fits
        })
        .collect();
    (!changes.is_empty()).then(|| Step::ChangeNames { zone: zone.to_owned(), changes })
}

/// What there is of one kind.
struct Found<'a> {
    fleet: Option<&'a Record>,
    numbered: BTreeMap<u32, &'a Record>,
}

impl<'a> Found<'a> {
    fn among(existing: &'a [Record], base: &str) -> Self {
        let mut found = Self { fleet: None, numbered: BTreeMap::new() };
        for record in existing {
            match record.name.strip_suffix(base) {
                Some("") => found.fleet = Some(record),
                Some(prefix) => {
                    let number = prefix.strip_suffix('.').and_then(|n| n.parse().ok());
                    // Not `01.` or `+1.`, which would be another name than the one written for the number.
                    if let Some(number) = number.filter(|number| format!("{number}.") == prefix) {
                        found.numbered.insert(number, record);
                    }
                }
                None => {}
            }
        }
        found
    }
}

fn change(is: Option<&Record>, name: &str, values: &[&str]) -> Option<NameChange> {
    if values.is_empty() {
        return is.cloned().map(NameChange::Delete);
    }
    let right = is.is_some_and(|record| {
        let held: BTreeSet<&str> = record.values.iter().map(String::as_str).collect();
        record.ttl == TTL_SECS && held == values.iter().copied().collect()
    });
    (!right).then(|| {
        let values = values.iter().map(|&ip| ip.to_owned()).collect();
        NameChange::Upsert(Record { name: name.to_owned(), values, ttl: TTL_SECS })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "cd.internal";

    fn role() -> ServiceRole {
        ServiceRole::try_from("WEB_PRODUCT".to_owned()).expect("well formed")
    }

    /// `candidate=10.0.0.1,10.0.0.2 1=10.0.0.1`, all of the candidate.
    fn records(text: &str) -> Vec<Record> {
        let base = Names::Candidate.fleet_name(&role(), ZONE);
        text.split_whitespace()
            .map(|word| {
                let (name, values) = word.split_once('=').expect("name=values");
                let (values, ttl) = values.split_once('@').unwrap_or((values, "10"));
                Record {
                    name: if name == "candidate" { base.clone() } else { format!("{name}.{base}") },
                    values: values.split(',').map(str::to_owned).collect(),
                    ttl: ttl.parse().expect("a number"),
                }
            })
            .collect()
    }

    fn shown(changes: &[NameChange]) -> String {
        let words: Vec<String> = changes
            .iter()
            .map(|change| {
                let (sign, record) = match change {
                    NameChange::Upsert(record) => ('+', record),
                    NameChange::Delete(record) => ('-', record),
                };
                let name = record.name.strip_suffix(".web-product.cd.internal").expect("a name of the service");
                format!("{sign}{name}={}", record.values.join(","))
            })
            .collect();
        words.join(" ")
    }

    fn applied(existing: &[Record], changes: &[NameChange]) -> Vec<Record> {
        let mut zone: BTreeMap<String, Record> =
            existing.iter().map(|record| (record.name.clone(), record.clone())).collect();
        for change in changes {
            match change {
                NameChange::Upsert(record) => {
                    zone.insert(record.name.clone(), record.clone());
                }
                NameChange::Delete(record) => assert_eq!(zone.remove(&record.name).as_ref(), Some(record)),
            }
        }
        zone.into_values().collect()
    }

    #[track_caller]
    fn check(existing: &str, ips: &str, expected: &str) {
        let existing = records(existing);
        let ips: Vec<String> = ips.split_whitespace().map(str::to_owned).collect();
        let changes = toward(&existing, &role(), ZONE, Names::Candidate, &ips);
        assert_eq!(shown(&changes), expected);
        let after = applied(&existing, &changes);
        assert_eq!(toward(&after, &role(), ZONE, Names::Candidate, &ips), [], "once changed, nothing is left to do");
    }

    #[test]
    fn names_become_those_of_the_addresses() {
        check("", "", "");
        check("", "b a", "+candidate=a,b +1.candidate=a +2.candidate=b");
        check("candidate=b,a 1=a 2=b", "a b", "");
        // An address keeps its number, whatever it is; a new one takes the lowest free.
        check("candidate=a,c 1=a 7=c", "c b", "+candidate=b,c +1.candidate=b");
        // A number that nobody needs goes, with what it held.
        check("candidate=a,b 1=a 2=b", "b", "+candidate=b -1.candidate=a");
        // Twice the same address: the lower number stays.
        check("candidate=a 1=a 2=a", "a", "-2.candidate=a");
        // Changed by hand.
        check("candidate=a@300 1=a,b", "a", "+candidate=a +1.candidate=a");
        check("candidate=a@300 1=a 3=b,c x=y 1.live=a", "", "-candidate=a -1.candidate=a -3.candidate=b,c");
    }

    #[test]
    fn the_other_kind_and_other_services_are_left_alone() {
        let other = |name: &str| Record { name: name.to_owned(), values: vec!["a".to_owned()], ttl: 10 };
        let existing = [
            other("live.web-product.cd.internal"),
            other("1.live.web-product.cd.internal"),
            other("xcandidate.web-product.cd.internal"),
            other("candidate.web-product.cd.internal.example"),
        ];
        assert_eq!(toward(&existing, &role(), ZONE, Names::Candidate, &[]), []);
        assert_eq!(held_by(&existing, &role(), ZONE, Names::Candidate), [] as [&str; 0]);
        assert_eq!(held_by(&existing, &role(), "CD.internal", Names::Live), ["a"]);
        assert_eq!(of(&existing, &role(), ZONE, Names::Live), [&existing[0], &existing[1]]);
    }

    /// AWS's own limits, counted its way.
    #[test]
    fn a_thousand_addresses_fit_into_batches() {
        let ips: Vec<String> = (0..1_000).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
        let mut existing = Vec::new();
        let mut calls = 0;
        for ips in [&ips[..], &[]] {
            while let Some(Step::ChangeNames { changes, .. }) =
                batch(ZONE, toward(&existing, &role(), ZONE, Names::Candidate, ips))
            {
                let counted = |of: fn(&Record) -> usize| -> usize {
                    let cost = |change: &NameChange| match change {
                        NameChange::Upsert(record) => 2 * of(record),
                        NameChange::Delete(record) => of(record),
                    };
                    changes.iter().map(cost).sum()
                };
                assert!(counted(|record| record.values.len()) <= 1_000);
                assert!(counted(|record| record.values.iter().map(String::len).sum()) <= 32_000);
                existing = applied(&existing, &changes);
                calls += 1;
            }
            assert_eq!(existing.iter().filter(|record| record.values.len() > 1).count(), ips.len().min(1));
        }
        assert_eq!((existing.len(), calls), (0, 3 + 2));
    }
}
