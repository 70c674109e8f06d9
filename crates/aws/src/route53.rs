//! The private zone's names.

use crate::Cloud;
use crate::error::{Called, required};
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tagship::settings::{Settings, only_zone};
use tagship::{Error, Kind, NameChange, Record, ServiceRole};

/// Zone ids by name, for one invocation.
#[derive(Default)]
pub(crate) struct Zones(Mutex<Known>);

#[derive(Default)]
struct Known {
    ids: HashMap<String, String>,
    /// Ids that the hold may still have.
    gone: HashSet<String>,
}

impl Zones {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the one private zone of this name.
    async fn id(&self, cloud: &Cloud, zone: &str) -> Result<String, Error> {
        let known = self.known().ids.get(zone).cloned();
        if let Some(id) = known {
            return Ok(id);
        }
        let id = only_zone(zone, find(cloud, zone).await?).map_err(Error::configuration)?;
        self.known().ids.insert(zone.to_owned(), id.clone());
        Ok(id)
    }

    /// Provision has looked it up, and the hold has it: nobody asks Route 53 again, which allows ten requests a second.
    pub(crate) fn know(&self, settings: &Settings) {
        if let (Some(zone), Some(id)) = (&settings.zone, &settings.zone_id) {
            let mut known = self.known();
            if !known.gone.contains(id) {
                known.ids.insert(zone.clone(), id.clone());
            }
        }
    }

    /// Whether Route 53 has just said that this zone is deleted. There may be another one of its name by now: so it is
    /// looked up again, once for each id.
    fn deleted(&self, zone: &str, id: &str, error: &Error) -> bool {
        let mut known = self.known();
        let deleted = error.code.as_deref() == Some("NoSuchHostedZone") && known.gone.insert(id.to_owned());
        if deleted {
            known.ids.remove(zone);
        }
        deleted
    }
}

/// The ids of the private zones of this name.
pub(crate) async fn find(cloud: &Cloud, zone: &str) -> Result<Vec<String>, Error> {
    // Zones come sorted, from this name on: as many of the same name as fit a page are far more than there can be.
    let answer = cloud.route53().list_hosted_zones_by_name().dns_name(zone).max_items(100).send().await;
    let answer = answer.called("route53:ListHostedZonesByName", zone)?;
    let named = answer.hosted_zones().iter().filter(|found| plain(found.name()) == zone.to_ascii_lowercase());
    let private = named.filter(|found| found.config().is_some_and(|config| config.private_zone()));
    Ok(private.map(|found| found.id().trim_start_matches("/hostedzone/").to_owned()).collect())
}

/// Lower case, no dot at the end.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// A records under `<service>.<zone>`.
pub(crate) async fn names(cloud: &Cloud, zones: &Zones, role: &ServiceRole, zone: &str) -> Result<Vec<Record>, Error> {
    let id = zones.id(cloud, zone).await?;
    match records(cloud, &id, role, zone).await {
        Err(error) if zones.deleted(zone, &id, &error) => {
            let id = zones.id(cloud, zone).await?;
            records(cloud, &id, role, zone).await
        }
        found => found,
    }
}

/// The records of one zone. Route 53 sorts by the labels reversed, so they are neighbours.
async fn records(cloud: &Cloud, id: &str, role: &ServiceRole, zone: &str) -> Result<Vec<Record>, Error> {
    const ACTION: &str = "route53:ListResourceRecordSets";
    let service = format!("{}.{}", role.label(), plain(zone));
    let below = format!(".{service}");
    let mut names = Vec::new();
    let mut start = (service.clone(), None, None);
    loop {
        let (name, kind, identifier) = start;
        let request = cloud.route53().list_resource_record_sets().hosted_zone_id(id).start_record_name(name);
        let request = request.set_start_record_type(kind).set_start_record_identifier(identifier).max_items(300);
        let page = request.send().await.called(ACTION, zone)?;
        for set in page.resource_record_sets() {
            let name = plain(set.name());
            if name != service && !name.ends_with(&below) {
                return Ok(names);
            }
            if *set.r#type() == RrType::A && set.alias_target().is_none() && name != service {
                let mut values: Vec<String> =
                    set.resource_records().iter().map(|record| record.value().to_owned()).collect();
                values.sort();
                let ttl = set.ttl().and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or_default();
                names.push(Record { name, values, ttl });
            }
        }
        if !page.is_truncated() {
            return Ok(names);
        }
        start = (
            required(page.next_record_name, ACTION, "NextRecordName")?,
            page.next_record_type,
            page.next_record_identifier,
        );
    }
}

/// ChangeResourceRecordSets: all or nothing.
pub(crate) async fn change(cloud: &Cloud, zones: &Zones, zone: &str, changes: &[NameChange]) -> Result<(), Error> {
    const ACTION: &str = "route53:ChangeResourceRecordSets";
    let id = zones.id(cloud, zone).await?;
    let unbuilt = |error: aws_sdk_route53::error::BuildError| Error::new(Kind::Bug, format!("{ACTION}: {error}"));
    let mut batch = ChangeBatch::builder().comment("tagship");
    for change in changes {
        let (action, record) = match change {
            NameChange::Upsert(record) => (ChangeAction::Upsert, record),
            NameChange::Delete(record) => (ChangeAction::Delete, record),
        };
        let mut set = ResourceRecordSet::builder().name(&record.name).r#type(RrType::A).ttl(record.ttl.into());
        for value in &record.values {
            set = set.resource_records(ResourceRecord::builder().value(value).build().map_err(unbuilt)?);
        }
        let set = set.build().map_err(unbuilt)?;
        batch = batch.changes(Change::builder().action(action).resource_record_set(set).build().map_err(unbuilt)?);
    }
    let batch = batch.build().map_err(unbuilt)?;
    let request = cloud.route53_changes().change_resource_record_sets().hosted_zone_id(&id).change_batch(batch);
    match request.send().await.called(ACTION, zone) {
        // Nothing was changed: what there is in the zone of this name now is read first.
        Err(error) if zones.deleted(zone, &id, &error) => Err(Error { kind: Kind::Conflict, ..error }),
        changed => changed.map(drop),
    }
}
