//! `release`: check a build, upload it, follow it.

use super::check::findings;
use super::follow::follow;
use crate::ask::sure;
use crate::end::{End, Failure};
use crate::out::Out;
use crate::service::{Naming, Service, named};
use jiff::Timestamp;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use tagship::{PastRelease, ReleaseId};
use tagship_aws::Account;

/// S3's limit of an object's own metadata, in bytes.
const METADATA_MAX: usize = 2_048;
/// How long an upload's execution may take to begin: the rule's way.
const BEGINS: Duration = Duration::from_secs(120);
/// Between two looks for it.
const LOOK: Duration = Duration::from_secs(2);

/// A build, and what it says of itself.
pub(super) struct Build {
    pub(super) file: PathBuf,
    pub(super) version: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) author: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Began {
    service: String,
    pipeline: String,
    release: Option<ReleaseId>,
    version: Option<String>,
}

pub(super) async fn run(
    account: &Account,
    out: &Out,
    name: &str,
    build: &Build,
    detach: bool,
    yes: bool,
) -> Result<End, Failure> {
    let metadata = metadata(build)?;
    let report = tagship_appspec::check(&build.file).map_err(|error| Failure::usage(error.to_string()))?;
    if report.errors() > 0 {
        return Err(Failure::usage(format!(
            "nothing was uploaded, the build can't be installed:\n{}",
            findings(&report)
        )));
    }
    if report.warnings() > 0 {
        out.say(&findings(&report))?;
    }
    let service = named(account, name, Naming::Exact).await?;
    let role = service.role.as_str();
    if let Some(artifact) = service.settings.as_ref().and_then(|settings| settings.artifact.as_ref()) {
        return Err(Failure::usage(format!(
            "{role} releases the newest object under s3://{}/{} with the tag {} (its setting ARTIFACT): upload the build \
             there with that tag, then start pipeline {}",
            artifact.bucket,
            artifact.prefix,
            artifact.tag,
            service.pipeline_name(None)?
        )));
    }
    let hold = account.hold(&service.role).await?;
    let pipeline = service.pipeline(account, hold.as_ref()).await?;
    let Some((_, bucket, key)) = pipeline.source() else {
        return Err(Failure::usage(format!(
            "pipeline {} has no S3 source: nothing can be uploaded to it",
            pipeline.name
        )));
    };
    let frozen = pipeline.stage_of(role).and_then(|stage| stage.frozen.as_ref());
    let waits = match (frozen, &hold) {
        (Some(frozen), _) => format!(" It waits before the stage, which is frozen: {}.", frozen.reason),
        (None, Some(hold)) => format!(" It waits for release {}, which is under way.", hold.release),
        (None, None) => String::new(),
    };
    let question = format!("Upload {} to s3://{bucket}/{key}, and release it to {role}?{waits}", build.file.display());
    if !sure(yes, &question)? {
        out.say("Nothing was uploaded.")?;
        return Ok(End::Fine);
    }
    let before = Timestamp::now();
    let uploaded = account.upload((bucket, key), &build.file, &metadata).await?;
    let release = match &uploaded.version {
        Some(version) => begun(account, &pipeline.name, version, before).await?,
        None => None,
    };
    let began = Began {
        service: role.to_owned(),
        pipeline: pipeline.name.clone(),
        release: release.clone(),
        version: uploaded.version.clone(),
    };
    let version = uploaded.version.as_deref().unwrap_or("unknown, as the bucket keeps none");
    out.show(&began, || match &release {
        Some(release) => format!("Release {release} of {role} has begun, with version {version}.\n"),
        None => format!(
            "It is uploaded (version {version}), but no release of it has begun within {} s: `tagship status {role}` shows \
             if one does. A newer upload may have taken its place.\n",
            BEGINS.as_secs()
        ),
    })?;
    match release {
        Some(release) if !detach => follow(account, out, &service, &pipeline.name, &release).await,
        Some(_) => Ok(End::Fine),
        None => Ok(End::Found),
    }
}

/// What the object says of itself: S3 takes ASCII only, so that everything else is percent-encoded.
fn metadata(build: &Build) -> Result<Vec<(String, String)>, Failure> {
    let given = [("version", &build.version), ("commit", &build.commit), ("author", &build.author)];
    let given: Vec<(&str, &String)> =
        given.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
    let said: Vec<String> = given.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let mut metadata: Vec<(String, String)> =
        given.iter().map(|(name, value)| ((*name).to_owned(), encoded(value))).collect();
    if !said.is_empty() {
        // The console and `history` show this one.
        metadata.push(("codepipeline-artifact-revision-summary".to_owned(), encoded(&said.join(", "))));
    }
    let size: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > METADATA_MAX {
        return Err(Failure::usage(format!(
            "version, commit and author have {size} bytes together, encoded; S3 takes {METADATA_MAX}: shorten them"
        )));
    }
    Ok(metadata)
}

/// ASCII as it is, but for `%`; each byte of everything else as `%XX`.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The execution that releases this version, once there is one.
async fn begun(
    account: &Account,
    pipeline: &str,
    version: &str,
    since: Timestamp,
) -> Result<Option<ReleaseId>, Failure> {
    let of_it = |past: &&PastRelease| past.version.as_deref() == Some(version);
    loop {
        let executions = account.executions(pipeline, 20).await?;
        if let Some(found) = executions.iter().find(of_it) {
            return Ok(Some(found.release.clone()));
        }
        let waited = Timestamp::now().duration_since(since);
        if waited.unsigned_abs() > BEGINS {
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Starts the pipeline with an earlier version.
pub(super) async fn again(
    account: &Account,
    out: &Out,
    service: &Service,
    (pipeline, action, version): (&str, &str, &str),
) -> Result<ReleaseId, Failure> {
    // A repeated start within the token's life is the same one.
    let once = format!("{}-{}", Timestamp::now().as_second(), &version[..version.len().min(40)]);
    let once: String = once.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let release = account.start(pipeline, action, version, &once).await?;
    let began = Began {
        service: service.role.to_string(),
        pipeline: pipeline.to_owned(),
        release: Some(release.clone()),
        version: Some(version.to_owned()),
    };
    out.show(&began, || format!("Release {release} of {} has begun, with version {version}.\n", service.role))?;
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(version: &str, author: &str) -> Build {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Build { file: PathBuf::new(), version: given(version), commit: None, author: given(author) }
    }

    #[test]
    fn what_a_build_says_of_itself_is_ascii() {
        let check = |version: &str, author: &str, expected: &[(&str, &str)]| {
            let found = metadata(&build(version, author)).expect("it fits");
            let expected: Vec<(String, String)> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(found, expected);
        };
        check("", "", &[]);
        check("1.2", "", &[("version", "1.2"), ("codepipeline-artifact-revision-summary", "version 1.2")]);
        check(
            "50%",
            "김",
            &[
                ("version", "50%25"),
                ("author", "%EA%B9%80"),
                ("codepipeline-artifact-revision-summary", "version 50%25, author %EA%B9%80"),
            ],
        );
        assert!(metadata(&build(&"x".repeat(1_100), "")).is_err(), "the summary repeats it: more than 2 KB");
    }
}
