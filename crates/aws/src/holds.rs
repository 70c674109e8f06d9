//! The hold, the ended markers and the rosters in S3: every write is a compare-and-swap.

use crate::Cloud;
use crate::cloud::BOUND;
use crate::error::Called;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tagship::{
    Ended, Enrolled, Error, Held, Hold, Holding, Kind, ROSTERS, ReleaseId, Roster, ServiceRole, ended_key, hold_key,
    roster_key,
};

/// Holds that are read at a time.
const AT_ONCE: usize = 8;

/// What the bucket says of a release and its service. `bound`: within [`BOUND`], or not at all.
pub(crate) async fn holding(
    cloud: &Cloud,
    role: &ServiceRole,
    release: &ReleaseId,
    bound: bool,
) -> Result<Holding, Error> {
    if !bound {
        return read(cloud.s3(), &cloud.bucket, role, release).await;
    }
    let read = read(cloud.s3_bound(), &cloud.bucket, role, release);
    tokio::time::timeout(BOUND, read).await.unwrap_or_else(|_| {
        let message = format!("s3:GetObject on the hold of {role}: no answer within {} s", BOUND.as_secs());
        Err(Error::new(Kind::Unavailable, message))
    })
}

async fn read(client: &Client, bucket: &str, role: &ServiceRole, release: &ReleaseId) -> Result<Holding, Error> {
    let hold_key = hold_key(role);
    let ended_key = ended_key(role, release);
    let (hold, ended) = tokio::try_join!(hold_at(client, bucket, &hold_key), ended_at(client, bucket, &ended_key))?;
    let ended = ended.map(|(ended, _)| ended);
    let held = match hold {
        None => None,
        Some((hold, etag)) => {
            let freed = if hold.release == *release {
                ended.is_some()
            } else {
                ended_at(client, bucket, &tagship::ended_key(role, &hold.release)).await?.is_some()
            };
            Some(Held { hold, etag, freed })
        }
    };
    Ok(Holding { held, ended })
}

/// A service's hold; none if it isn't held.
pub(crate) async fn hold(cloud: &Cloud, role: &ServiceRole) -> Result<Option<Hold>, Error> {
    Ok(hold_at(cloud.s3(), &cloud.bucket, &hold_key(role)).await?.map(|(hold, _)| hold))
}

/// How a release ended; none if it hasn't.
pub(crate) async fn ended(cloud: &Cloud, role: &ServiceRole, release: &ReleaseId) -> Result<Option<Ended>, Error> {
    Ok(ended_at(cloud.s3(), &cloud.bucket, &ended_key(role, release)).await?.map(|(ended, _)| ended))
}

async fn hold_at(client: &Client, bucket: &str, key: &str) -> Result<Option<(Hold, String)>, Error> {
    object(client, bucket, key, Hold::from_json).await
}

async fn ended_at(client: &Client, bucket: &str, key: &str) -> Result<Option<(Ended, String)>, Error> {
    object(client, bucket, key, |text| serde_json::from_slice(text)).await
}

/// An object, read, and its entity tag; none if there is no such key (which S3 says only to those who may list).
async fn object<T>(
    client: &Client,
    bucket: &str,
    key: &str,
    read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
) -> Result<Option<(T, String)>, Error> {
    let name = || format!("s3://{bucket}/{key}");
    let output = match client.get_object().bucket(bucket).key(key).send().await {
        Err(error) if error.as_service_error().and_then(|error| error.code()) == Some("NoSuchKey") => return Ok(None),
        output => output.called("s3:GetObject", name())?,
    };
    let etag = crate::error::required(output.e_tag, "s3:GetObject", "ETag")?;
    let body = output.body.collect().await.map_err(|error| {
        Error::new(Kind::Unavailable, format!("s3:GetObject on {}: the answer broke off: {error}", name()))
    })?;
    let value = read(&body.into_bytes()).map_err(|error| {
        let message = format!(
            "{} can't be read: {error}. Nothing was changed. Restore the object's previous version, or delete it if \
             no release of the service runs",
            name()
        );
        Error::new(Kind::Bug, message)
    })?;
    Ok(Some((value, etag)))
}

/// Creates the hold, or replaces the one with this entity tag; answers with the new one's.
pub(crate) async fn write(
    cloud: &Cloud,
    role: &ServiceRole,
    hold: &Hold,
    etag: Option<&str>,
) -> Result<Option<String>, Error> {
    put(cloud, &hold_key(role), hold.to_json(), etag).await
}

/// The first word on how a release ended stays.
pub(crate) async fn write_ended(cloud: &Cloud, role: &ServiceRole, ended: &Ended) -> Result<(), Error> {
    put(cloud, &ended_key(role, &ended.release), serde_json::to_string_pretty(ended), None).await.map(drop)
}

/// The roster of the live fleet.
pub(crate) async fn roster(cloud: &Cloud, role: &ServiceRole) -> Result<Option<Box<Enrolled>>, Error> {
    let found = object(cloud.s3(), &cloud.bucket, &roster_key(role), |text| serde_json::from_slice(text)).await?;
    Ok(found.map(|(roster, etag)| Box::new(Enrolled { roster, etag })))
}

/// Creates the roster, or replaces the one with this entity tag; answers with the new one's.
pub(crate) async fn write_roster(
    cloud: &Cloud,
    role: &ServiceRole,
    roster: &Roster,
    etag: Option<&str>,
) -> Result<Option<String>, Error> {
    put(cloud, &roster_key(role), serde_json::to_string_pretty(roster), etag).await
}

async fn put(
    cloud: &Cloud,
    key: &str,
    json: serde_json::Result<String>,
    etag: Option<&str>,
) -> Result<Option<String>, Error> {
    let bucket = &cloud.bucket;
    let body = json.map_err(|error| Error::new(Kind::Bug, format!("s3://{bucket}/{key} can't be written: {error}")))?;
    let request = cloud.s3_changes().put_object().bucket(bucket).key(key).content_type("application/json");
    let request = match etag {
        Some(etag) => request.if_match(etag),
        None => request.if_none_match("*"),
    };
    let sent = request.body(body.into_bytes().into()).send().await;
    Ok(sent.called("s3:PutObject", format!("s3://{bucket}/{key}"))?.e_tag)
}

/// Deletes the hold, if it is still the one with this entity tag.
pub(crate) async fn delete(cloud: &Cloud, role: &ServiceRole, etag: &str) -> Result<(), Error> {
    let key = hold_key(role);
    let request = cloud.s3_changes().delete_object().bucket(&cloud.bucket).key(&key).if_match(etag);
    request.send().await.called("s3:DeleteObject", format!("s3://{}/{key}", cloud.bucket))?;
    Ok(())
}

/// The services that are held now, and their holds.
pub(crate) async fn list(cloud: &Cloud) -> Result<Vec<(ServiceRole, Hold)>, Error> {
    let held = |role: ServiceRole| async move {
        // Freed meanwhile is fine.
        let found = hold_at(cloud.s3(), &cloud.bucket, &hold_key(&role)).await?;
        Ok(found.map(|(hold, _)| (role, hold)))
    };
    let holds = stream::iter(roles(cloud, "holds/").await?).map(held).buffered(AT_ONCE);
    holds.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
}

/// The services that have a live fleet, and their rosters.
pub(crate) async fn rosters(cloud: &Cloud) -> Result<Vec<(ServiceRole, Roster)>, Error> {
    let mut rosters = Vec::new();
    for role in roles(cloud, ROSTERS).await? {
        if let Some(enrolled) = roster(cloud, &role).await? {
            rosters.push((role, enrolled.roster));
        }
    }
    Ok(rosters)
}

/// The services of which there is an object under this prefix.
async fn roles(cloud: &Cloud, prefix: &str) -> Result<Vec<ServiceRole>, Error> {
    let mut roles = Vec::new();
    let mut pages = cloud.s3().list_objects_v2().bucket(&cloud.bucket).prefix(prefix).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.called("s3:ListBucket", format!("s3://{}/{prefix}", cloud.bucket))?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        let names = keys.filter_map(|key| key.strip_prefix(prefix)?.strip_suffix(".json"));
        roles.extend(names.filter_map(|name| ServiceRole::try_from(name.to_owned()).ok()));
    }
    Ok(roles)
}
