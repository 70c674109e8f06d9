//! Which requests an observation and a step are on the wire, as crates/aws makes them.

use crate::cloud::{Cloud, names_under};
use crate::limits::Bucket;
use crate::past::{MINUTE, timestamp};
use jiff::SignedDuration;
use tagship::settings::TargetGroup;
use tagship::{Action, DeploymentState, Hold, Holding, Job, Reads, ServiceRole, Step, Verdict, admit};

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The operation, as IAM names it.
    pub operation: &'static str,
    /// What it takes from; none where AWS publishes no limit that could matter.
    pub bucket: Option<Bucket>,
    /// Instances that it launches.
    pub instances: u32,
    /// Whether it reads: the SDK repeats those, and those alone.
    pub reads: bool,
}

const fn read(operation: &'static str, bucket: Option<Bucket>) -> Request {
    Request { operation, bucket, instances: 0, reads: true }
}

const fn change(operation: &'static str, bucket: Option<Bucket>) -> Request {
    Request { operation, bucket, instances: 0, reads: false }
}

/// `ec2::PAGE`
const INSTANCES_A_PAGE: usize = 250;
/// `route53::names`
const RECORDS_A_PAGE: usize = 300;
/// `codedeploy::A_BATCH`
const A_BATCH: usize = 25;
/// CodeDeploy's own page of targets; unpublished, and read once a deployment.
const TARGETS_A_PAGE: usize = 100;

const ZONE: Request = read("route53:ListHostedZonesByName", Some(Bucket::Route53));

/// Chains of requests: within a chain one after another, the chains at once.
pub type Chains = Vec<Vec<Request>>;

/// `holds::read`: hold and marker at once, then the holder's marker if the holder is another.
pub fn holding(found: &Holding, job: &Job) -> Chains {
    let object = read("s3:GetObject", None);
    let other = found.held.as_ref().is_some_and(|held| held.hold.release != job.release);
    vec![if other { vec![object, object] } else { vec![object] }, vec![object]]
}

/// `Aws::look`. The zone's id is looked up once an invocation.
pub fn observation(cloud: &Cloud, job: &Job, reads: Reads, holding: &Holding, zone_known: bool) -> Chains {
    let verdict = admit(job.action, &job.release, holding);
    if reads.holder && holding.held.is_some() && (verdict == Verdict::AwaitHolder || job.action == Action::Sweep) {
        return vec![vec![read("codepipeline:ListPipelineExecutions", None)]];
    }
    let Some(service) = cloud.services.get(&job.role) else { return Vec::new() };
    let hold = holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
    let offered = reads.settings && verdict == Verdict::Take;
    let Some(settings) = hold.map(|hold| &hold.settings).or(offered.then_some(&service.settings)) else {
        return Vec::new();
    };
    let mut chains = Vec::new();
    let pages = |n: usize, a_page: usize| n.div_ceil(a_page).max(1);
    if reads.instances {
        let page = read("ec2:DescribeInstances", Some(Bucket::Describe));
        chains.push(vec![page; pages(cloud.described(&job.role), INSTANCES_A_PAGE)]);
    }
    if reads.routing && matches!(settings.target_group, TargetGroup::Pair(_)) {
        let elb = |operation| read(operation, Some(Bucket::Balancing));
        let health = elb("elasticloadbalancing:DescribeTargetHealth");
        chains.push(vec![
            read("tag:GetResources", None),
            elb("elasticloadbalancing:DescribeTargetGroups"),
            health,
            health,
            // The simulator's services have a balancer with one listener each.
            elb("elasticloadbalancing:DescribeListeners"),
            elb("elasticloadbalancing:DescribeRules"),
        ]);
    }
    if reads.addresses {
        chains.push(vec![read("ec2:DescribeAddresses", Some(Bucket::Describe))]);
    }
    if reads.names
        && let Some(zone) = &settings.zone
    {
        let under = names_under(&job.role, zone);
        let records = cloud.records.keys().filter(|name| name.ends_with(&under)).count();
        let page = read("route53:ListResourceRecordSets", Some(Bucket::Route53));
        let mut chain = vec![page; pages(records + 1, RECORDS_A_PAGE)];
        if !zone_known {
            chain.insert(0, ZONE);
        }
        chains.push(chain);
    }
    if let Some(hold) = hold.filter(|_| reads.install) {
        chains.push(vec![read("codedeploy:GetDeploymentGroup", None)]);
        chains.push(deployments(cloud, &job.role, hold));
    }
    if reads.artifact && hold.is_some_and(|hold| hold.artifact.is_none()) {
        chains.push(vec![read("s3:HeadObject", None)]);
    }
    chains
}

/// `codedeploy::deployment`
fn deployments(cloud: &Cloud, role: &ServiceRole, hold: &Hold) -> Vec<Request> {
    let mut chain = vec![read("codedeploy:ListDeployments", None)];
    let since = hold.since - SKEW;
    let recent: Vec<_> = cloud
        .deployments
        .values()
        .filter(|found| found.service == *role && timestamp(found.created) >= since)
        .collect();
    if recent.is_empty() {
        return chain;
    }
    chain.push(read("codedeploy:BatchGetDeployments", None));
    let own = recent.into_iter().filter(|found| found.release == hold.release).max_by_key(|found| found.created);
    if let Some(ended) = own.filter(|found| *found.state.now() != DeploymentState::Running) {
        let pages = ended.targets.len().div_ceil(TARGETS_A_PAGE).max(1);
        chain.extend(vec![read("codedeploy:ListDeploymentTargets", None); pages]);
        let batches = ended.targets.len().div_ceil(A_BATCH);
        chain.extend(vec![read("codedeploy:BatchGetDeploymentTargets", None); batches]);
    }
    chain
}

/// `codedeploy::SKEW`: deployments are looked for from so long before the hold was taken.
pub const SKEW: SignedDuration = SignedDuration::from_millis(5 * MINUTE);

/// The call that a step is; a change of names looks the zone up if nobody did before.
pub fn step(step: &Step, zone_known: bool) -> Chains {
    let mutating = Some(Bucket::Mutating);
    let request = match step {
        Step::WriteHold { .. } | Step::WriteEnded(_) => change("s3:PutObject", None),
        Step::DeleteHold { .. } => change("s3:DeleteObject", None),
        Step::Launch(launch) => {
            Request { instances: launch.count, ..change("ec2:RunInstances", Some(Bucket::RunInstances)) }
        }
        Step::Terminate { .. } => change("ec2:TerminateInstances", Some(Bucket::TerminateInstances)),
        Step::TagRetired { .. } => change("ec2:CreateTags", Some(Bucket::CreateTags)),
        Step::Stop { .. } => change("ec2:StopInstances", mutating),
        Step::AllocateAddress { .. } => change("ec2:AllocateAddress", mutating),
        Step::AssociateAddress { .. } => change("ec2:AssociateAddress", mutating),
        Step::DisassociateAddress { .. } => change("ec2:DisassociateAddress", mutating),
        Step::ReleaseAddress { .. } => change("ec2:ReleaseAddress", mutating),
        Step::ChangeNames { .. } => {
            let request = change("route53:ChangeResourceRecordSets", Some(Bucket::Route53));
            return vec![if zone_known { vec![request] } else { vec![ZONE, request] }];
        }
        Step::FilterDeployments { .. } => change("codedeploy:UpdateDeploymentGroup", None),
        Step::CreateDeployment { .. } => change("codedeploy:CreateDeployment", None),
        Step::StopDeployment { .. } => change("codedeploy:StopDeployment", None),
        Step::Register { .. } => change("elasticloadbalancing:RegisterTargets", Some(Bucket::Balancing)),
        Step::Deregister { .. } => change("elasticloadbalancing:DeregisterTargets", Some(Bucket::Balancing)),
        Step::SetWeights { switch, .. } if switch.contains(":listener-rule/") => {
            change("elasticloadbalancing:ModifyRule", Some(Bucket::Balancing))
        }
        Step::SetWeights { .. } => change("elasticloadbalancing:ModifyListener", Some(Bucket::Balancing)),
        Step::Abandon { .. } => change("events:PutEvents", None),
    };
    vec![vec![request]]
}

/// What is told of a stage's end: the event, and the report to CodePipeline.
pub fn report() -> Chains {
    vec![vec![change("events:PutEvents", None), change("codepipeline:PutJobSuccessResult", None)]]
}
