//! The artifact: the action's input, or the newest object with a tag; its version is pinned.

use crate::Cloud;
use crate::error::Called;
use aws_sdk_s3::error::ProvideErrorMetadata;
use tagship::settings::ArtifactTag;
use tagship::{Artifact, Error, Found, Hold, Job};

/// Newest objects whose tags are looked at, a call each.
const TAGGED_MAX: usize = 200;

/// What a new deployment of the release would install.
pub(crate) async fn find(cloud: &Cloud, job: &Job, hold: &Hold) -> Result<Found<Artifact>, Error> {
    match (&hold.artifact, &hold.settings.artifact, &job.input) {
        // Chosen before.
        (Some(chosen), ..) => Ok(Ok(chosen.clone())),
        (None, Some(tag), _) => newest(cloud, tag).await,
        (None, None, Some(input)) => pinned(cloud, input).await,
        (None, None, None) => {
            Ok(Err("the deploy action has no input artifact, and the settings no ARTIFACT: give the \
                                      action the source's artifact as its input"
                .to_owned()))
        }
    }
}

/// The object as it is now, with its version.
async fn pinned(cloud: &Cloud, wanted: &Artifact) -> Result<Found<Artifact>, Error> {
    let request = cloud.s3().head_object().bucket(&wanted.bucket).key(&wanted.key);
    let head = match request.set_version_id(wanted.version.clone()).send().await {
        // HeadObject's errors have no body, so no code of their own; 405 is a version that is a delete marker.
        Err(error) if matches!(error.raw_response().map(|raw| raw.status().as_u16()), Some(404 | 405)) => {
            let header = |name| error.raw_response().and_then(|raw| raw.headers().get(name));
            let marker = header("x-amz-delete-marker").map(|_| header("x-amz-version-id").unwrap_or("it"));
            return Ok(Err(missing(wanted, marker)));
        }
        head => head.called("s3:GetObject", wanted)?,
    };
    Ok(Ok(Artifact {
        version: head.version_id.filter(|version| version != "null").or_else(|| wanted.version.clone()),
        etag: head.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
        ..wanted.clone()
    }))
}

/// Why there is none; `marker` is the version that is a delete marker.
fn missing(wanted: &Artifact, marker: Option<&str>) -> String {
    match (&wanted.version, marker) {
        (Some(_), _) => format!("the artifact {wanted} doesn't exist (any more)"),
        (None, Some(marker)) => format!(
            "the artifact {wanted} doesn't exist any more: of its versions the newest was looked for, and {marker} is a \
             delete marker"
        ),
        (None, None) => format!(
            "the artifact {wanted} doesn't exist: its newest version was looked for, and there is none, nor a delete \
             marker"
        ),
    }
}

/// The newest object with the tag.
pub(crate) async fn newest(cloud: &Cloud, wanted: &ArtifactTag) -> Result<Found<Artifact>, Error> {
    let place = format!("s3://{}/{}", wanted.bucket, wanted.prefix);
    let request = cloud.s3().list_objects_v2().bucket(&wanted.bucket).prefix(&wanted.prefix);
    let mut pages = request.into_paginator().send();
    let mut objects = Vec::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            Err(error) if error.as_service_error().and_then(|error| error.code()) == Some("NoSuchBucket") => {
                return Err(Error::configuration(format!("ARTIFACT: there is no bucket {}", wanted.bucket)));
            }
            page => page.called("s3:ListBucket", &place)?,
        };
        let dated = |object: aws_sdk_s3::types::Object| Some((object.last_modified?, object.key?));
        objects.extend(page.contents.unwrap_or_default().into_iter().filter_map(dated));
    }
    objects.sort();
    for (_, key) in objects.iter().rev().take(TAGGED_MAX) {
        let request = cloud.s3().get_object_tagging().bucket(&wanted.bucket).key(key);
        let tagging = match request.send().await {
            // Deleted since it was listed.
            Err(error) if error.as_service_error().and_then(|error| error.code()) == Some("NoSuchKey") => continue,
            tagging => tagging.called("s3:GetObjectTagging", format!("s3://{}/{key}", wanted.bucket))?,
        };
        if tagging.tag_set().iter().any(|tag| wanted.is(tag.key(), tag.value())) {
            let version = tagging.version_id.filter(|version| version != "null");
            let found = Artifact { bucket: wanted.bucket.clone(), key: key.clone(), version, etag: None };
            return pinned(cloud, &found).await;
        }
    }
    Ok(Err(format!(
        "no artifact: none of the newest {} objects under {place} has the tag {}",
        objects.len().min(TAGGED_MAX),
        wanted.tag
    )))
}
