//! [`Aws`], the port: which calls one observation and one step are.

use crate::{
    Cloud, artifact, cloud, cloudwatch, codedeploy, codepipeline, ec2, elb, events, holds, hooks, metrics, offer,
    route53,
};
use jiff::Timestamp;
use std::future::{Future, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship::metrics::Line;
use tagship::notify::Notice;
use tagship::settings::{Ami, Settings, TargetGroup};
use tagship::{
    Address, Alarm, Applied, Artifact, Balancer, Change, Decision, Deployment, Devices, Enrolled, Error, Execution,
    Figures, Found, Hold, Holding, Instance, Job, Kind, Look, Offer, Parts, Planner, Port, Record, ReleaseId, Routing,
    ServiceRole, Step, UserData, World,
};
use tracing::info;

/// A call, boxed: SDK futures are of many kilobytes, which would add up on the stack. Made in a function that isn't
/// async, under a constant, what isn't needed isn't linked either.
type Call<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

/// What isn't read is empty.
fn unread<'c, T: Default + Send + 'c>() -> Call<'c, T> {
    Box::pin(ready(Ok(T::default())))
}

/// How long reads may go on after the loop should have handed back.
const OVERTIME: Duration = Duration::from_secs(5);

/// One invocation's view of AWS, for a planner.
pub struct Aws<'a, P> {
    cloud: &'a Cloud,
    /// When the loop hands back.
    until: Instant,
    /// Whether CodePipeline invokes again, or nobody does.
    hands_back: bool,
    balancer: elb::Known,
    zones: route53::Zones,
    deployment: codedeploy::Known,
    hooks: hooks::Calls,
    /// The wait that was logged last: a wait of minutes is one line, not a hundred.
    waiting: Mutex<String>,
    topic: Mutex<Option<events::Topic>>,
    planner: PhantomData<fn() -> P>,
}

impl<'a, P: Planner> Aws<'a, P> {
    /// For an invocation that works until then.
    pub fn new(cloud: &'a Cloud, until: Instant, hands_back: bool) -> Self {
        Self {
            cloud,
            until,
            hands_back,
            balancer: elb::Known::default(),
            zones: route53::Zones::default(),
            deployment: codedeploy::Known::default(),
            hooks: hooks::Calls::default(),
            waiting: Mutex::default(),
            topic: Mutex::default(),
            planner: PhantomData,
        }
    }

    /// The service's own topic, if its settings name one and have been read.
    pub(crate) fn topic(&self) -> Option<events::Topic> {
        self.topic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is used of settings whatever is looked at.
    fn remember(&self, settings: &Settings) {
        self.zones.know(settings);
        let topic = settings.topic.clone().map(|arn| (arn, settings.topic_format));
        *self.topic.lock().unwrap_or_else(PoisonError::into_inner) = topic;
    }

    /// A read that ends in time for what follows it: a change, the notice, the report.
    async fn in_time<T>(&self, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let end = self.until.max(Instant::now()) + OVERTIME;
        tokio::time::timeout_at(end.into(), read).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Unavailable, "AWS had not answered when this invocation's time was over"))
        })
    }

    /// These parts, at once. What the planner never reads isn't linked.
    async fn read(&self, look: &Look<'_>) -> Result<World, Error> {
        let (cloud, job, parts) = (self.cloud, look.job, look.parts);
        let reads = |part: Parts| P::READS.has(part) && parts.has(part);
        // Its parts are none of those below: the settings tell where to look for them.
        let (offer, user_data, devices, holder, roster) = tokio::try_join!(
            self.offer(look),
            self.user_data(look),
            self.devices(look),
            self.holder(look),
            self.roster(look)
        )?;
        let Some(settings) = look.settings else {
            return Ok(World { offer, user_data, devices, holder, roster, ..World::default() });
        };
        self.remember(settings);
        let hold = look.holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
        let instances: Call<'_, Vec<Instance>> = if const { P::READS.has(Parts::INSTANCES) } && reads(Parts::INSTANCES)
        {
            Box::pin(ec2::instances(cloud, &job.role))
        } else {
            unread()
        };
        let routing: Call<'_, Option<Routing>> = match &settings.target_group {
            TargetGroup::Pair(selector) if const { P::READS.has(Parts::ROUTING) } && reads(Parts::ROUTING) => {
                Box::pin(async move { elb::routing(cloud, &job.role, selector, &self.balancer).await.map(Some) })
            }
            _ => unread(),
        };
        let addresses: Call<'_, Vec<Address>> = if const { P::READS.has(Parts::ADDRESSES) } && reads(Parts::ADDRESSES) {
            Box::pin(ec2::addresses(cloud, &job.role, &settings.eip))
        } else {
            unread()
        };
        let names: Call<'_, Vec<Record>> = match &settings.zone {
            Some(zone) if const { P::READS.has(Parts::NAMES) } && reads(Parts::NAMES) => {
                Box::pin(route53::names(cloud, &self.zones, &job.role, zone))
            }
            _ => unread(),
        };
        let filtered: Call<'_, bool> = if const { P::READS.has(Parts::FILTER) } && reads(Parts::FILTER) {
            Box::pin(codedeploy::filtered(cloud, &settings.deploy, &job.role, &job.release))
        } else {
            unread()
        };
        let deployment: Call<'_, Option<Deployment>> = match hold {
            Some(hold) if const { P::READS.has(Parts::DEPLOYMENT) } && reads(Parts::DEPLOYMENT) => {
                Box::pin(codedeploy::deployment(cloud, &self.deployment, &settings.deploy, hold))
            }
            _ => unread(),
        };
        let artifact: Call<'_, Option<Found<Artifact>>> = match hold {
            Some(hold) if const { P::READS.has(Parts::ARTIFACT) } && reads(Parts::ARTIFACT) => {
                Box::pin(async move { artifact::find(cloud, job, hold).await.map(Some) })
            }
            _ => unread(),
        };
        let alarms: Call<'_, Vec<Alarm>> = match settings.alarms.ids() {
            names if !names.is_empty() && const { P::READS.has(Parts::ALARMS) } && reads(Parts::ALARMS) => {
                Box::pin(cloudwatch::alarms(cloud, names))
            }
            _ => unread(),
        };
        let split = hold.and_then(|hold| hold.split.as_ref());
        let figures: Call<'_, Figures> = match (&settings.target_group, split) {
            (TargetGroup::Pair(selector), Some(split))
                if const { P::READS.has(Parts::FIGURES) } && reads(Parts::FIGURES) =>
            {
                // The pair has been looked at before: what was counted of it says nothing alone.
                let pair = self.balancer.pair(selector);
                Box::pin(async move { cloudwatch::figures(cloud, &pair, split).await })
            }
            _ => unread(),
        };
        let balancer: Call<'_, Option<Balancer>> = match &settings.target_group {
            TargetGroup::Pair(selector) if const { P::READS.has(Parts::BALANCER) } && reads(Parts::BALANCER) => {
                // The pair has been looked at before.
                let pair = self.balancer.pair(selector);
                Box::pin(async move { elb::balancer(cloud, &pair, settings).await })
            }
            _ => unread(),
        };
        let (instances, routing, addresses, names, filtered, deployment, artifact, alarms, figures, balancer) = tokio::try_join!(
            instances, routing, addresses, names, filtered, deployment, artifact, alarms, figures, balancer
        )?;
        Ok(World {
            instances,
            routing,
            addresses,
            names,
            filtered,
            deployment,
            artifact,
            offer,
            user_data,
            devices,
            holder,
            alarms,
            figures,
            roster,
            balancer,
            hook: if reads(Parts::HOOK) { self.hooks.made() } else { None },
            ..World::default()
        })
    }

    /// The settings as provision's variable says them now.
    fn offer<'c>(&'c self, look: &'c Look<'_>) -> Call<'c, Option<Offer>> {
        if const { P::READS.has(Parts::OFFER) } && look.parts.has(Parts::OFFER) {
            return Box::pin(async move {
                offer::resolved(self.cloud, &look.job.role, offer::Asks::Provision).await.map(Some)
            });
        }
        unread()
    }

    /// The text of `USER_DATA` as provision's variable says it now.
    fn user_data<'c>(&'c self, look: &'c Look<'_>) -> Call<'c, Option<UserData>> {
        if const { P::READS.has(Parts::USER_DATA) } && look.parts.has(Parts::USER_DATA) {
            return Box::pin(async move {
                let Offer { user_data, .. } = offer::offered(self.cloud, &look.job.role).await?;
                Ok(user_data.map(UserData))
            });
        }
        unread()
    }

    /// The devices of the hold's image.
    fn devices<'c>(&'c self, look: &'c Look<'_>) -> Call<'c, Option<Devices>> {
        match look.settings.map(|settings| &settings.ami) {
            Some(Ami::Id(ami)) if const { P::READS.has(Parts::IMAGE) } && look.parts.has(Parts::IMAGE) => {
                Box::pin(ec2::devices(self.cloud, ami))
            }
            _ => unread(),
        }
    }

    /// Where the execution stands that is asked about.
    fn holder<'c>(&'c self, look: &'c Look<'_>) -> Call<'c, Option<Execution>> {
        match tagship::execution_of(look.job, look.holding) {
            Some((pipeline, release)) if const { P::READS.has(Parts::HOLDER) } && look.parts.has(Parts::HOLDER) => {
                Box::pin(async move { codepipeline::execution(self.cloud, pipeline, release).await.map(Some) })
            }
            _ => unread(),
        }
    }

    /// The roster of the live fleet.
    fn roster<'c>(&'c self, look: &'c Look<'_>) -> Call<'c, Option<Box<Enrolled>>> {
        if const { P::READS.has(Parts::ROSTER) } && look.parts.has(Parts::ROSTER) {
            return Box::pin(holds::roster(self.cloud, &look.job.role));
        }
        unread()
    }

    /// The call that the step is. What the planner never changes isn't linked; the loop lets no such step through.
    fn change<'c>(&'c self, look: &'c Look<'_>, step: &'c Step) -> Call<'c, Applied> {
        macro_rules! linked {
            ($change:ident, $call:expr) => {
                if const { P::CHANGES.has(Change::$change) } { done($call) } else { unlinked(step) }
            };
        }
        let (cloud, role) = (self.cloud, &look.job.role);
        match step {
            Step::WriteHold { hold, etag } => Box::pin(written(cloud, role, hold, etag.as_deref())),
            Step::WriteEnded(ended) => done(holds::write_ended(cloud, role, ended)),
            Step::WriteRoster { roster, etag } => Box::pin(async move {
                let etag = holds::write_roster(cloud, role, roster, etag.as_deref()).await?;
                Ok(Applied { etag, ..Applied::default() })
            }),
            Step::DeleteHold { etag } => done(holds::delete(cloud, role, etag)),
            Step::Launch(launch) if const { P::CHANGES.has(Change::Launch) } => Box::pin(async move {
                let launched = ec2::launch(cloud, launch).await?;
                Ok(Applied { launched, ..Applied::default() })
            }),
            Step::Launch(_) => unlinked(step),
            Step::Terminate { instances } => linked!(Terminate, ec2::terminate(cloud, instances)),
            Step::TagRetired { instances, by } => linked!(Retire, ec2::tag_retired(cloud, instances, by)),
            Step::Stop { instances } => linked!(Retire, ec2::stop(cloud, instances)),
            Step::AllocateAddress { tags } => linked!(GiveAddress, ec2::allocate(cloud, tags)),
            Step::AssociateAddress { address, instance } => {
                linked!(GiveAddress, ec2::associate(cloud, address, instance))
            }
            Step::DisassociateAddress { address, association } => {
                linked!(TakeAddress, ec2::disassociate(cloud, address, association))
            }
            Step::ReleaseAddress { address } => linked!(TakeAddress, ec2::release_address(cloud, address)),
            Step::ChangeNames { zone, changes } => {
                linked!(Names, route53::change(cloud, &self.zones, zone, changes))
            }
            Step::FilterDeployments { release } => {
                linked!(Install, async move { codedeploy::filter(cloud, &settings(look)?.deploy, role, release).await })
            }
            Step::CreateDeployment { release, artifact } => {
                linked!(
                    Install,
                    async move { codedeploy::create(cloud, &settings(look)?.deploy, release, artifact).await }
                )
            }
            Step::StopDeployment { deployment } => linked!(StopInstall, codedeploy::stop(cloud, deployment)),
            Step::Register { group, instances, port } => {
                linked!(Register, elb::register(cloud, group, instances, *port))
            }
            Step::Deregister { group, targets } => linked!(Deregister, elb::deregister(cloud, group, targets)),
            Step::SetWeights { switch, label, weights, unstick } => {
                linked!(Weights, elb::set_weights(cloud, switch, label, weights, *unstick))
            }
            Step::PointTest { rule, label, from, to } => linked!(Test, elb::point(cloud, rule, label, from, to)),
            Step::StopExecution { pipeline, release, reason } => {
                linked!(Stop, codepipeline::stop(cloud, pipeline, release, reason))
            }
            Step::CallHook(call) => linked!(Hook, async move { self.hooks.make(cloud, call) }),
            Step::Abandon { release, pipeline, action, reason } => linked!(Tell, async move {
                let notice = Notice::abandoned(role, release, pipeline, *action, reason);
                events::put(cloud, &notice).await?;
                metrics::write(&Line::ended(&notice));
                Ok(())
            }),
        }
    }
}

fn done<'c>(call: impl Future<Output = Result<(), Error>> + Send + 'c) -> Call<'c, Applied> {
    Box::pin(async move { call.await.map(|()| Applied::default()) })
}

async fn written(cloud: &Cloud, role: &ServiceRole, hold: &Hold, etag: Option<&str>) -> Result<Applied, Error> {
    holds::write(cloud, role, hold, etag).await.map(|etag| Applied { etag, ..Applied::default() })
}

fn settings<'l>(look: &Look<'l>) -> Result<&'l Settings, Error> {
    look.settings.ok_or_else(|| Error::new(Kind::Bug, "tagship: a change that needs settings was made without"))
}

/// A change that the planner doesn't name: its operation isn't linked.
fn unlinked<'c>(step: &Step) -> Call<'c, Applied> {
    Box::pin(ready(Err(Error::new(Kind::Bug, format!("tagship: {step} isn't among this action's changes")))))
}

impl<P: Planner> Port for Aws<'_, P> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(1_000..2_000))).await;
    }

    async fn sleep_until(&self, then: Timestamp) {
        let left = Duration::try_from(then.duration_since(self.now())).unwrap_or_default();
        tokio::time::sleep_until((Instant::now() + left).min(self.until).into()).await;
    }

    fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    fn hands_back(&self) -> bool {
        self.hands_back
    }

    async fn holding(&self, role: &ServiceRole, release: &ReleaseId, bound: bool) -> Result<Holding, Error> {
        let holding = self.in_time(Box::pin(holds::holding(self.cloud, role, release, bound))).await?;
        if let Some(held) = holding.held.as_ref().filter(|held| held.hold.release == *release) {
            self.remember(&held.hold.settings);
        }
        Ok(holding)
    }

    async fn observe(&self, look: &Look<'_>) -> Result<World, Error> {
        self.in_time(self.read(look)).await
    }

    async fn apply(&self, look: &Look<'_>, step: &Step) -> Result<Applied, Error> {
        // A change of one call is bounded by its client; what a step reads besides is within the same time.
        tokio::time::timeout(cloud::CHANGE, self.change(look, step)).await.unwrap_or_else(|_| {
            let message = format!("{step}: no answer within {} s", cloud::CHANGE.as_secs());
            Err(Error::new(Kind::Unavailable, message))
        })
    }

    fn tell(&self, job: &Job, decision: &Decision) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (decided, why) = match decision {
            Decision::Look(_) => return,
            Decision::Do { step, why, .. } => (format!("do: {step}"), *why),
            Decision::Wait { why, .. } | Decision::Yield(why) if *why == *waiting => return,
            Decision::Wait { why, .. } | Decision::Yield(why) => (format!("wait: {why}"), ""),
            Decision::Done(done) => (format!("done: {}", done.message), ""),
            Decision::Fail(error) => (format!("fail: {error}"), ""),
        };
        *waiting = match decision {
            Decision::Wait { why, .. } | Decision::Yield(why) => why.clone(),
            _ => String::new(),
        };
        info!(stage = %job.action.stage(), action = %job.action, why, "{decided}");
    }
}
