//! Which requests an observation and a step are on the wire, as crates/aws makes them.

use crate::cloud::{Cloud, names_under};
use crate::limits::Bucket;
use crate::past::{MINUTE, Ms, SECOND, timestamp};
use jiff::SignedDuration;
use tagship::settings::{Choice, Settings};
use tagship::{
    DeploymentState, Execution, ExecutionState, Hold, Holding, Job, Parts, ReleaseId, ServiceRole, Step, execution_of,
};

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
const INSTANCES_A_PAGE: usize = 500;
/// `route53::names`
const RECORDS_A_PAGE: usize = 300;
/// `elb::TAGS_A_CALL`
const TAGS_A_CALL: usize = 20;
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

/// What an invocation's adapter has looked up, and doesn't look up again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cached {
    /// The zone's id.
    pub zone: bool,
    /// The release's deployment.
    pub deployment: bool,
    /// When the pair, its listeners and rules were looked up.
    pub routing: Option<Ms>,
}

/// `elb::KNOWN`: how long an adapter uses the groups, listeners and rules that it has found.
const KNOWN: Ms = 60 * SECOND;

/// `Aws::observe`. What it looks up is remembered in `cached`; `execution` says how one stands.
pub fn observation(
    cloud: &Cloud,
    job: &Job,
    (parts, settings): (Parts, Option<&Settings>),
    holding: &Holding,
    cached: &mut Cached,
    execution: impl FnOnce(&str, &ReleaseId) -> Execution,
) -> Chains {
    let mut chains = Vec::new();
    if let Some((pipeline, release)) = execution_of(job, holding).filter(|_| parts.has(Parts::HOLDER)) {
        let mut chain = vec![read("codepipeline:GetPipelineExecution", None)];
        // Only the list says when it ended.
        if matches!(execution(pipeline, release).state, ExecutionState::Succeeded | ExecutionState::Ended) {
            chain.push(read("codepipeline:ListPipelineExecutions", None));
        }
        chains.push(chain);
    }
    if let Some(service) = cloud.services.get(&job.role).filter(|_| parts.has(Parts::OFFER)) {
        chains.extend(match &service.settings.alarms {
            Choice::Tags(_) => Some(vec![read("tag:GetResources", None)]),
            Choice::Ids(names) if names.is_empty() => None,
            Choice::Ids(_) => Some(vec![read("cloudwatch:DescribeAlarms", Some(Bucket::Alarms))]),
        });
        chains.extend(service.settings.zone.as_ref().map(|_| vec![ZONE]));
    }
    if parts.has(Parts::ROSTER) {
        chains.push(vec![read("s3:GetObject", None)]);
    }
    if parts.has(Parts::IMAGE) {
        chains.push(vec![read("ec2:DescribeImages", Some(Bucket::Describe))]);
    }
    let Some(settings) = settings else { return chains };
    cached.zone |= settings.zone_id.is_some();
    if parts.has(Parts::INSTANCES) {
        let page = read("ec2:DescribeInstances", Some(Bucket::Describe));
        chains.push(vec![page; pages(cloud.described(&job.role), INSTANCES_A_PAGE)]);
    }
    if parts.has(Parts::ROUTING) {
        chains.extend(routing(cloud, job, cached));
    }
    if parts.has(Parts::BALANCER) {
        let elb = |operation| vec![read(operation, Some(Bucket::Balancing))];
        let groups = if settings.shift.at_once() { 0 } else { 2 };
        chains.push(vec![read("ec2:DescribeSubnets", Some(Bucket::Describe))]);
        chains.push(elb("elasticloadbalancing:DescribeLoadBalancers"));
        chains.push(elb("elasticloadbalancing:DescribeAccountLimits"));
        chains.push(vec![read("elasticloadbalancing:DescribeTargetGroupAttributes", Some(Bucket::Balancing)); groups]);
    }
    if parts.has(Parts::ALARMS) && !settings.alarms.ids().is_empty() {
        chains.push(vec![read("cloudwatch:DescribeAlarms", Some(Bucket::Alarms))]);
    }
    if parts.has(Parts::ADDRESSES) {
        chains.push(vec![read("ec2:DescribeAddresses", Some(Bucket::Describe))]);
    }
    if parts.has(Parts::NAMES)
        && let Some(zone) = &settings.zone
    {
        let under = names_under(&job.role, zone);
        let records = cloud.records.keys().filter(|name| name.ends_with(&under)).count();
        let page = read("route53:ListResourceRecordSets", Some(Bucket::Route53));
        let mut chain = vec![page; pages(records + 1, RECORDS_A_PAGE)];
        if !std::mem::replace(&mut cached.zone, true) {
            chain.insert(0, ZONE);
        }
        chains.push(chain);
    }
    if parts.has(Parts::FILTER) {
        chains.push(vec![read("codedeploy:GetDeploymentGroup", None)]);
    }
    let own = holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
    // Nothing has been counted before a step stands.
    let stands = |hold: &&Hold| hold.split.as_ref().is_some_and(|it| it.since.is_some() || !it.stood.is_empty());
    if own.filter(|_| parts.has(Parts::FIGURES)).filter(stands).is_some() && cached.routing.is_some() {
        chains.push(vec![read("cloudwatch:GetMetricData", Some(Bucket::Figures))]);
    }
    if let Some(hold) = own.filter(|_| parts.has(Parts::DEPLOYMENT)) {
        chains.push(deployments(cloud, &job.role, hold, cached));
    }
    if parts.has(Parts::ARTIFACT) {
        chains.push(vec![read("s3:HeadObject", None)]);
    }
    chains
}

fn pages(n: usize, a_page: usize) -> usize {
    n.div_ceil(a_page).max(1)
}

/// `elb::routing`: groups, listeners and rules are found once; then their health and weights are read.
fn routing(cloud: &Cloud, job: &Job, cached: &mut Cached) -> Chains {
    let elb = |operation| read(operation, Some(Bucket::Balancing));
    let health = elb("elasticloadbalancing:DescribeTargetHealth");
    let known = cached.routing.is_some_and(|at| cloud.now - at < KNOWN);
    if !known {
        cached.routing = Some(cloud.now);
        let mut chain = vec![
            read("tag:GetResources", None),
            elb("elasticloadbalancing:DescribeTargetGroups"),
            health,
            health,
            elb("elasticloadbalancing:DescribeListeners"),
        ];
        let listeners = cloud.services.get(&job.role).map_or(1, |service| service.listeners);
        chain.extend(vec![elb("elasticloadbalancing:DescribeRules"); listeners]);
        let tagged = 2 + cloud.switches.values().filter(|switch| switch.service == job.role).count();
        chain.extend(vec![elb("elasticloadbalancing:DescribeTags"); tagged.div_ceil(TAGS_A_CALL)]);
        return vec![chain];
    }
    let switches = || cloud.switches.values().filter(|switch| switch.service == job.role);
    let mut chains = vec![vec![health], vec![health]];
    if switches().any(|switch| !switch.default_action) {
        chains.push(vec![elb("elasticloadbalancing:DescribeRules")]);
    }
    if switches().any(|switch| switch.default_action) {
        chains.push(vec![elb("elasticloadbalancing:DescribeListeners")]);
    }
    chains
}

/// `codedeploy::deployment`
fn deployments(cloud: &Cloud, role: &ServiceRole, hold: &Hold, cached: &mut Cached) -> Vec<Request> {
    let mut chain = if cached.deployment { Vec::new() } else { vec![read("codedeploy:ListDeployments", None)] };
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
    cached.deployment = own.is_some();
    if let Some(ended) = own.filter(|found| *found.state.now() != DeploymentState::Running) {
        let pages = ended.machine.targets.len().div_ceil(TARGETS_A_PAGE).max(1);
        chain.extend(vec![read("codedeploy:ListDeploymentTargets", None); pages]);
        let batches = ended.machine.targets.len().div_ceil(A_BATCH);
        chain.extend(vec![read("codedeploy:BatchGetDeploymentTargets", None); batches]);
    }
    chain
}

/// `codedeploy::SKEW`: deployments are looked for from so long before the hold was taken.
pub const SKEW: SignedDuration = SignedDuration::from_millis(5 * MINUTE);

/// The call that a step is. A change of names looks the zone up if nobody did before; one of weights reads the switch
/// again right before.
pub fn step(step: &Step, cached: &mut Cached) -> Chains {
    let mutating = Some(Bucket::Mutating);
    let request = match step {
        Step::WriteHold { .. } | Step::WriteEnded(_) | Step::WriteRoster { .. } => change("s3:PutObject", None),
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
            return vec![if std::mem::replace(&mut cached.zone, true) { vec![request] } else { vec![ZONE, request] }];
        }
        Step::FilterDeployments { .. } => change("codedeploy:UpdateDeploymentGroup", None),
        Step::CreateDeployment { .. } => change("codedeploy:CreateDeployment", None),
        Step::StopDeployment { .. } => change("codedeploy:StopDeployment", None),
        Step::Register { .. } => change("elasticloadbalancing:RegisterTargets", Some(Bucket::Balancing)),
        Step::Deregister { .. } => change("elasticloadbalancing:DeregisterTargets", Some(Bucket::Balancing)),
        Step::SetWeights { switch, .. } => {
            let [look, set] = if switch.contains(":listener-rule/") {
                ["elasticloadbalancing:DescribeRules", "elasticloadbalancing:ModifyRule"]
            } else {
                ["elasticloadbalancing:DescribeListeners", "elasticloadbalancing:ModifyListener"]
            };
            // Within the step's 10 s nothing is repeated.
            return vec![vec![change(look, Some(Bucket::Balancing)), change(set, Some(Bucket::Balancing))]];
        }
        Step::PointTest { .. } => {
            let [look, set] = ["elasticloadbalancing:DescribeRules", "elasticloadbalancing:ModifyRule"];
            return vec![vec![change(look, Some(Bucket::Balancing)), change(set, Some(Bucket::Balancing))]];
        }
        Step::Abandon { .. } => change("events:PutEvents", None),
        Step::StopExecution { .. } => change("codepipeline:StopPipelineExecution", None),
        Step::CallHook(_) => change("lambda:Invoke", None),
    };
    vec![vec![request]]
}

/// What is told of a stage's end: the event, and the report to CodePipeline.
pub fn report() -> Chains {
    vec![vec![change("events:PutEvents", None), change("codepipeline:PutJobSuccessResult", None)]]
}
