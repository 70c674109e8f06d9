//! CodeDeploy: the group's filter, and what became of a release's deployment on each instance.

use crate::Cloud;
use crate::cloud::timestamp;
use crate::error::{Called, required};
use aws_sdk_codedeploy::types::{
    AutoRollbackConfiguration, BundleType, DeploymentGroupInfo, DeploymentInfo, DeploymentOption, DeploymentOverview,
    DeploymentStatus, DeploymentTarget, DeploymentType, Ec2TagFilter, Ec2TagFilterType, Ec2TagSet, InstanceTarget,
    LifecycleEvent, LifecycleEventStatus, RevisionLocation, RevisionLocationType, S3Location, TargetStatus, TimeRange,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::OnceLock;
use tagship::settings::Deploy;
use tagship::{
    Artifact, Deployment, DeploymentState, Error, Hold, Installed, ReleaseId, ServiceRole, TAG_RELEASE, TAG_SERVICE,
};

/// BatchGetDeployments and BatchGetDeploymentTargets take no more.
const A_BATCH: usize = 25;
/// How far clocks may differ: deployments are looked for from so long before the hold was taken.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// AllAtOnce: the fleet serves nobody yet.
const CONFIG: &str = "CodeDeployDefault.AllAtOnce";

/// By its description a deployment is found again.
fn description(release: &ReleaseId) -> String {
    format!("tagship release {release}")
}

/// Service and release: each in a list of its own, so that both must match.
fn tag_set(role: &ServiceRole, release: &ReleaseId) -> Ec2TagSet {
    let filter = |key: &str, value: &str| {
        vec![Ec2TagFilter::builder().key(key).value(value).r#type(Ec2TagFilterType::KeyAndValue).build()]
    };
    Ec2TagSet::builder()
        .ec2_tag_set_list(filter(TAG_SERVICE, role.as_str()))
        .ec2_tag_set_list(filter(TAG_RELEASE, release.as_str()))
        .build()
}

/// The id of the release's deployment, once it has been found: for one invocation.
#[derive(Default)]
pub(crate) struct Known(OnceLock<String>);

/// Whether the group's filter is this release's already.
pub(crate) async fn filtered(
    cloud: &Cloud,
    deploy: &Deploy,
    role: &ServiceRole,
    release: &ReleaseId,
) -> Result<bool, Error> {
    let group = group(cloud, deploy).await?;
    in_place(&group, deploy)?;
    Ok(is_filtered(&group, &tag_set(role, release)))
}

fn is_filtered(group: &DeploymentGroupInfo, wanted: &Ec2TagSet) -> bool {
    let lists = |set: &Ec2TagSet| {
        let mut lists = set.ec2_tag_set_list().to_vec();
        lists.sort_by_key(|list| list.first().and_then(|filter| filter.key().map(str::to_owned)));
        lists
    };
    group.ec2_tag_filters().is_empty() && group.ec2_tag_set().is_some_and(|set| lists(set) == lists(wanted))
}

/// tagship launches, drains and moves traffic itself: a group that does any of this too gets into its way.
fn in_place(group: &DeploymentGroupInfo, deploy: &Deploy) -> Result<(), Error> {
    let style = group.deployment_style();
    let mut problems = Vec::new();
    if style.and_then(|style| style.deployment_type()) == Some(&DeploymentType::BlueGreen) {
        problems.push("it is BLUE_GREEN: set deploymentType to IN_PLACE".to_owned());
    }
    if style.and_then(|style| style.deployment_option()) == Some(&DeploymentOption::WithTrafficControl) {
        problems.push(
            "it takes instances out of the balancer itself: set deploymentOption to WITHOUT_TRAFFIC_CONTROL".to_owned(),
        );
    }
    let scaling: Vec<&str> = group.auto_scaling_groups().iter().filter_map(|group| group.name()).collect();
    if !scaling.is_empty() {
        let names = scaling.join(", ");
        problems.push(format!("it installs on Auto Scaling groups ({names}): take them out of it"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::problems(format!("tagship can't install by CodeDeploy's deployment group {}", named(deploy)), &problems))
}

fn named(deploy: &Deploy) -> String {
    format!("{}/{}", deploy.application, deploy.group)
}

async fn group(cloud: &Cloud, deploy: &Deploy) -> Result<DeploymentGroupInfo, Error> {
    const ACTION: &str = "codedeploy:GetDeploymentGroup";
    let request = cloud.codedeploy().get_deployment_group();
    let request = request.application_name(&deploy.application).deployment_group_name(&deploy.group);
    let answer = request.send().await.called(ACTION, named(deploy))?;
    required(answer.deployment_group_info, ACTION, "deploymentGroupInfo")
}

/// The newest deployment of the release since it took the hold.
pub(crate) async fn deployment(
    cloud: &Cloud,
    known: &Known,
    deploy: &Deploy,
    hold: &Hold,
) -> Result<Option<Deployment>, Error> {
    let ids = match known.0.get() {
        Some(id) => vec![id.clone()],
        None => recent(cloud, deploy, hold.since).await?,
    };
    let description = description(&hold.release);
    let mut newest: Option<DeploymentInfo> = None;
    for ids in ids.chunks(A_BATCH) {
        let request = cloud.codedeploy().batch_get_deployments().set_deployment_ids(Some(ids.to_vec()));
        let answer = request.send().await.called("codedeploy:BatchGetDeployments", named(deploy))?;
        for info in answer.deployments_info.unwrap_or_default() {
            let ours = info.description() == Some(description.as_str());
            if ours && newest.as_ref().is_none_or(|newest| newest.create_time() < info.create_time()) {
                newest = Some(info);
            }
        }
    }
    let Some(info) = newest else { return Ok(None) };
    let told = told(cloud, &info).await?;
    // Another found it meanwhile: it is the same.
    let _ = known.0.set(told.id.clone());
    Ok(Some(told))
}

/// Ids of the group's deployments since then.
async fn recent(cloud: &Cloud, deploy: &Deploy, since: Timestamp) -> Result<Vec<String>, Error> {
    let since = aws_smithy_types::DateTime::from_secs((since - SKEW).as_second());
    let request = cloud
        .codedeploy()
        .list_deployments()
        .application_name(&deploy.application)
        .deployment_group_name(&deploy.group)
        .create_time_range(TimeRange::builder().start(since).build());
    let mut pages = request.into_paginator().items().send();
    let mut ids = Vec::new();
    while let Some(id) = pages.next().await {
        ids.push(id.called("codedeploy:ListDeployments", named(deploy))?);
    }
    Ok(ids)
}

async fn told(cloud: &Cloud, info: &DeploymentInfo) -> Result<Deployment, Error> {
    const ACTION: &str = "codedeploy:BatchGetDeployments";
    let id = required(info.deployment_id(), ACTION, "deploymentId")?.to_owned();
    let state = match required(info.status(), ACTION, "status")? {
        DeploymentStatus::Succeeded => DeploymentState::Succeeded,
        DeploymentStatus::Failed => DeploymentState::Failed,
        DeploymentStatus::Stopped => DeploymentState::Stopped,
        _ => DeploymentState::Running,
    };
    let targets = match state {
        DeploymentState::Running => Vec::new(),
        _ => targets(cloud, &id).await?,
    };
    let error = info.error_information().map(|error| {
        let code = error.code().map(|code| code.as_str()).unwrap_or("error");
        format!("{code}: {}", error.message().unwrap_or("no message"))
    });
    Ok(Deployment {
        id,
        state,
        created_at: timestamp(required(info.create_time(), ACTION, "createTime")?),
        error,
        targets,
        overview: info.deployment_overview().map(overview).unwrap_or_default(),
        begun: info.deployment_overview().is_some_and(begun),
    })
}

fn overview(counts: &DeploymentOverview) -> String {
    let parts = [
        (counts.succeeded(), "succeeded"),
        (counts.failed(), "failed"),
        (counts.skipped(), "skipped"),
        (counts.in_progress(), "in progress"),
        (counts.pending(), "pending"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// Whether any instance is beyond pending.
fn begun(counts: &DeploymentOverview) -> bool {
    counts.succeeded() + counts.failed() + counts.skipped() + counts.in_progress() > 0
}

async fn targets(cloud: &Cloud, deployment: &str) -> Result<Vec<Installed>, Error> {
    let mut ids = Vec::new();
    let mut token = None;
    loop {
        let request = cloud.codedeploy().list_deployment_targets().deployment_id(deployment).set_next_token(token);
        let page = request.send().await.called("codedeploy:ListDeploymentTargets", deployment)?;
        ids.extend(page.target_ids.unwrap_or_default());
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    let mut installed = Vec::new();
    for ids in ids.chunks(A_BATCH) {
        let request = cloud.codedeploy().batch_get_deployment_targets().deployment_id(deployment);
        let sent = request.set_target_ids(Some(ids.to_vec())).send().await;
        let answer = sent.called("codedeploy:BatchGetDeploymentTargets", deployment)?;
        let targets = answer.deployment_targets().iter().filter_map(DeploymentTarget::instance_target);
        installed.extend(targets.filter_map(self::installed));
    }
    Ok(installed)
}

fn installed(target: &InstanceTarget) -> Option<Installed> {
    // The id of an instance, which some answers give as the end of its ARN.
    let instance = target.target_id()?.rsplit('/').next()?.to_owned();
    let failed = target.lifecycle_events().iter().find(|event| event.status() == Some(&LifecycleEventStatus::Failed));
    Some(Installed {
        instance,
        succeeded: target.status() == Some(&TargetStatus::Succeeded),
        diagnostics: failed.map(diagnostics),
    })
}

/// Event, script, message and the tail of the log, in the agent's own words.
fn diagnostics(event: &LifecycleEvent) -> String {
    let mut text = event.lifecycle_event_name().unwrap_or("an event").to_owned();
    let Some(told) = event.diagnostics() else { return text };
    let code = told.error_code().map(|code| code.as_str());
    for part in [told.script_name(), code, told.message()].into_iter().flatten().filter(|part| !part.is_empty()) {
        text.push_str(": ");
        text.push_str(part);
    }
    if let Some(tail) = told.log_tail().map(str::trim).filter(|tail| !tail.is_empty()) {
        text.push('\n');
        text.push_str(tail);
    }
    text
}

/// UpdateDeploymentGroup.
pub(crate) async fn filter(
    cloud: &Cloud,
    deploy: &Deploy,
    role: &ServiceRole,
    release: &ReleaseId,
) -> Result<(), Error> {
    let request = cloud.codedeploy_changes().update_deployment_group().application_name(&deploy.application);
    let request = request.current_deployment_group_name(&deploy.group).ec2_tag_set(tag_set(role, release));
    request.send().await.called("codedeploy:UpdateDeploymentGroup", named(deploy))?;
    Ok(())
}

/// CreateDeployment. CodeDeploy's own rollback would redeploy; discard removes the candidate instead.
pub(crate) async fn create(
    cloud: &Cloud,
    deploy: &Deploy,
    release: &ReleaseId,
    artifact: &Artifact,
) -> Result<(), Error> {
    let location = S3Location::builder()
        .bucket(&artifact.bucket)
        .key(&artifact.key)
        .bundle_type(bundle(&artifact.key))
        .set_version(artifact.version.clone())
        .set_e_tag(artifact.etag.clone())
        .build();
    let revision = RevisionLocation::builder().revision_type(RevisionLocationType::S3).s3_location(location).build();
    let request = cloud
        .codedeploy_changes()
        .create_deployment()
        .application_name(&deploy.application)
        .deployment_group_name(&deploy.group)
        .deployment_config_name(CONFIG)
        .description(description(release))
        .revision(revision)
        .auto_rollback_configuration(AutoRollbackConfiguration::builder().enabled(false).build());
    request.send().await.called("codedeploy:CreateDeployment", format!("{} of {artifact}", named(deploy)))?;
    Ok(())
}

/// By the key's ending; CodePipeline's own artifacts are zips without one.
fn bundle(key: &str) -> BundleType {
    let key = key.to_ascii_lowercase();
    if key.ends_with(".tgz") || key.ends_with(".tar.gz") {
        BundleType::TarGZip
    } else if key.ends_with(".tar") {
        BundleType::Tar
    } else {
        BundleType::Zip
    }
}

/// StopDeployment.
pub(crate) async fn stop(cloud: &Cloud, deployment: &str) -> Result<(), Error> {
    let request = cloud.codedeploy_changes().stop_deployment().deployment_id(deployment).auto_rollback_enabled(false);
    request.send().await.called("codedeploy:StopDeployment", deployment)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_codedeploy::types::{AutoScalingGroup, DeploymentStyle};

    #[test]
    fn a_group_that_does_more_than_install_is_refused() {
        let deploy = Deploy { application: "web".to_owned(), group: "web-product".to_owned() };
        let check = |r#type, option, scaling: Option<&str>, expected: &[&str]| {
            let style = DeploymentStyle::builder().deployment_type(r#type).deployment_option(option).build();
            let scaling = scaling.map(|name| vec![AutoScalingGroup::builder().name(name).build()]);
            let group = DeploymentGroupInfo::builder().deployment_style(style).set_auto_scaling_groups(scaling).build();
            let found = in_place(&group, &deploy).err().map(|error| error.message).unwrap_or_default();
            let problems: Vec<&str> = found.lines().skip(1).collect();
            assert_eq!(problems.len(), expected.len(), "{found}");
            assert!(problems.iter().zip(expected).all(|(found, expected)| found.contains(expected)), "{found}");
        };
        use DeploymentOption::{WithTrafficControl, WithoutTrafficControl};
        use DeploymentType::{BlueGreen, InPlace};
        check(InPlace, WithoutTrafficControl, None, &[]);
        check(BlueGreen, WithoutTrafficControl, None, &["set deploymentType to IN_PLACE"]);
        check(InPlace, WithTrafficControl, Some("web-asg"), &["WITHOUT_TRAFFIC_CONTROL", "(web-asg): take them out"]);
        // What an emulator leaves out is the default.
        assert_eq!(in_place(&DeploymentGroupInfo::builder().build(), &deploy), Ok(()));
    }
}
