//! [`Aws`], the port: which calls one observation and one step are.

use crate::{Adapted, Cloud, artifact, codedeploy, codepipeline, ec2, elb, events, holds, metrics, offer, route53};
use jiff::Timestamp;
use std::future::{Future, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship::metrics::Line;
use tagship::notify::Notice;
use tagship::settings::{Eip, Settings, TargetGroup};
use tagship::{
    Action, Address, Artifact, Decision, Error, Execution, Found, Holding, Install, Instance, Job, Kind, Look, Offer,
    Port, Record, ReleaseId, Routing, ServiceRole, Step, Verdict, World,
};
use tracing::info;

/// A call, boxed: SDK futures are of many kilobytes, which would add up on the stack. Made in a function that isn't
/// async, under a constant, what isn't needed isn't linked either.
type Call<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

/// What the stage doesn't read is empty.
fn unread<'c, T: Default + Send + 'c>() -> Call<'c, T> {
    Box::pin(ready(Ok(T::default())))
}

/// How long reads may go on after the loop should have handed back.
const OVERTIME: Duration = Duration::from_secs(5);

/// One invocation's view of AWS, for a stage.
pub struct Aws<'a, S> {
    cloud: &'a Cloud,
    /// When the loop hands back.
    until: Instant,
    /// Whether CodePipeline invokes again, or nobody does.
    hands_back: bool,
    actions: elb::Actions,
    zones: route53::Zones,
    /// The wait that was logged last: a wait of minutes is one line, not a hundred.
    waiting: Mutex<String>,
    topic: Mutex<Option<events::Topic>>,
    stage: PhantomData<fn() -> S>,
}

impl<'a, S: Adapted> Aws<'a, S> {
    /// For an invocation that works until then.
    pub fn new(cloud: &'a Cloud, until: Instant, hands_back: bool) -> Self {
        Self {
            cloud,
            until,
            hands_back,
            actions: elb::Actions::default(),
            zones: route53::Zones::default(),
            waiting: Mutex::default(),
            topic: Mutex::default(),
            stage: PhantomData,
        }
    }

    /// The service's own topic, if its settings name one and have been read.
    pub(crate) fn topic(&self) -> Option<events::Topic> {
        self.topic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember_topic(&self, settings: &Settings) {
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

    /// All that the stage reads of a service with these settings, at once.
    async fn read(&self, look: &Look<'_>, settings: &Settings) -> Result<World, Error> {
        let (cloud, job, zones, actions) = (self.cloud, look.job, &self.zones, &self.actions);
        let hold = look.holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
        let instances: Call<'_, Vec<Instance>> =
            if const { S::READS.instances } { Box::pin(ec2::instances(cloud, &job.role)) } else { unread() };
        let routing: Call<'_, Option<Routing>> = match &settings.target_group {
            TargetGroup::Pair(selector) if const { S::READS.routing } => {
                Box::pin(async move { elb::routing(cloud, selector, actions).await.map(Some) })
            }
            _ => unread(),
        };
        // Cleanup looks whatever the settings say now: earlier ones may have allocated some.
        let addresses: Call<'_, Vec<Address>> =
            if const { S::READS.addresses } && (settings.eip != Eip::None || S::CHANGES.addresses) {
                Box::pin(ec2::addresses(cloud, &job.role, &settings.eip))
            } else {
                unread()
            };
        let names: Call<'_, Vec<Record>> = match &settings.zone {
            Some(zone) if const { S::READS.names } => Box::pin(route53::names(cloud, zones, &job.role, zone)),
            _ => unread(),
        };
        let install: Call<'_, Option<Install>> = match hold {
            Some(hold) if const { S::READS.install } => Box::pin(async move {
                let read = codedeploy::install(cloud, &settings.deploy, &job.role, &job.release, hold.since);
                read.await.map(Some)
            }),
            _ => unread(),
        };
        let artifact: Call<'_, Option<Found<Artifact>>> = match hold {
            Some(hold) if const { S::READS.artifact } => {
                Box::pin(async move { artifact::find(cloud, job, hold).await.map(Some) })
            }
            _ => unread(),
        };
        let (instances, routing, addresses, names, install, artifact) =
            tokio::try_join!(instances, routing, addresses, names, install, artifact)?;
        Ok(World { instances, routing, addresses, names, install, artifact, ..World::default() })
    }

    /// The settings as provision's variable says them now; none where they aren't needed.
    fn offer<'c>(&'c self, look: &'c Look<'_>) -> Call<'c, Option<Offer>> {
        let (cloud, role) = (self.cloud, &look.job.role);
        if const { S::READS.settings } {
            if look.verdict == Verdict::Take {
                return Box::pin(async move { offer::resolved(cloud, role).await.map(Some) });
            }
            if let Some(settings) = look.settings().filter(|settings| settings.user_data_sha256.is_some()) {
                // The hold has the text's hash only.
                return Box::pin(async move {
                    let Offer { user_data, .. } = offer::offered(cloud, role).await?;
                    Ok(Some(Offer { settings: settings.clone(), user_data }))
                });
            }
        }
        unread()
    }

    /// Where the holder's execution stands; none where the stage looks at the service itself.
    fn holder<'c>(&'c self, look: &'c Look<'_>) -> Option<Call<'c, Execution>> {
        let asked = look.verdict == Verdict::AwaitHolder || look.job.action == Action::Sweep;
        match &look.holding.held {
            Some(held) if const { S::READS.holder } && asked => {
                Some(Box::pin(codepipeline::execution(self.cloud, &held.hold)))
            }
            _ => None,
        }
    }

    async fn look(&self, look: &Look<'_>) -> Result<World, Error> {
        let now = self.now();
        if let Some(holder) = self.holder(look) {
            return Ok(World { now, holder: Some(holder.await?), ..World::default() });
        }
        let offer = self.offer(look).await?;
        let Some(settings) = offer.as_ref().map(|offer| &offer.settings).or_else(|| look.settings()) else {
            return Ok(World { now, ..World::default() });
        };
        self.remember_topic(settings);
        let world = self.read(look, settings).await?;
        Ok(World { now, settings: offer, ..world })
    }

    /// The call that the step is. A step that the stage's [`crate::Changes`] don't name isn't linked.
    fn change<'c>(&'c self, look: &'c Look<'_>, step: &'c Step) -> Call<'c, ()> {
        let (cloud, role, zones) = (self.cloud, &look.job.role, &self.zones);
        let deploy = || look.settings().map(|settings| &settings.deploy).ok_or_else(|| unfit::<S>(step));
        match step {
            Step::WriteHold { hold, etag } => Box::pin(holds::write(cloud, role, hold, etag.as_deref())),
            Step::WriteEnded(ended) => Box::pin(holds::write_ended(cloud, role, ended)),
            Step::DeleteHold { etag } => Box::pin(holds::delete(cloud, role, etag)),
            Step::Launch(launch) if const { S::CHANGES.launch } => Box::pin(ec2::launch(cloud, launch)),
            Step::AllocateAddress { tags } if const { S::CHANGES.launch } => Box::pin(ec2::allocate(cloud, tags)),
            Step::AssociateAddress { address, instance } if const { S::CHANGES.launch } => {
                Box::pin(ec2::associate(cloud, address, instance))
            }
            Step::Terminate { instances } if const { S::CHANGES.terminate } => {
                Box::pin(ec2::terminate(cloud, instances))
            }
            Step::TagRetired { instances, by } if const { S::CHANGES.retire } => {
                Box::pin(ec2::tag_retired(cloud, instances, by))
            }
            Step::Stop { instances } if const { S::CHANGES.retire } => Box::pin(ec2::stop(cloud, instances)),
            Step::DisassociateAddress { address, association } if const { S::CHANGES.addresses } => {
                Box::pin(ec2::disassociate(cloud, address, association))
            }
            Step::ReleaseAddress { address } if const { S::CHANGES.addresses } => {
                Box::pin(ec2::release_address(cloud, address))
            }
            Step::ChangeNames { zone, changes } if const { S::CHANGES.names } => {
                Box::pin(route53::change(cloud, zones, zone, changes))
            }
            Step::FilterDeployments { release } if const { S::CHANGES.install } => {
                let deploy = deploy();
                Box::pin(async move { codedeploy::filter(cloud, deploy?, role, release).await })
            }
            Step::CreateDeployment { release, artifact } if const { S::CHANGES.install } => {
                let deploy = deploy();
                Box::pin(async move { codedeploy::create(cloud, deploy?, release, artifact).await })
            }
            Step::StopDeployment { deployment } if const { S::CHANGES.stop_install } => {
                Box::pin(codedeploy::stop(cloud, deployment))
            }
            Step::Register { group, instances, port } if const { S::CHANGES.install } => {
                Box::pin(elb::register(cloud, group, instances, *port))
            }
            Step::Deregister { group, targets } if const { S::CHANGES.deregister } => {
                Box::pin(elb::deregister(cloud, group, targets))
            }
            Step::SetWeights { switch, label, weights } if const { S::CHANGES.weights } => {
                Box::pin(elb::set_weights(cloud, &self.actions, switch, label, weights))
            }
            Step::Abandon { release, pipeline, action, reason } if const { S::CHANGES.abandon } => {
                let notice = Notice::abandoned(role, release, pipeline, *action, reason);
                Box::pin(async move {
                    events::put(cloud, &notice).await?;
                    metrics::write(&Line::ended(&notice));
                    Ok(())
                })
            }
            _ => Box::pin(ready(Err(unfit::<S>(step)))),
        }
    }
}

impl<S: Adapted> Port for Aws<'_, S> {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(1_000..2_000))).await;
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
            self.remember_topic(&held.hold.settings);
        }
        Ok(holding)
    }

    async fn observe(&self, look: &Look<'_>) -> Result<World, Error> {
        self.in_time(self.look(look)).await
    }

    async fn apply(&self, look: &Look<'_>, step: &Step) -> Result<(), Error> {
        self.change(look, step).await
    }

    fn tell(&self, job: &Job, decision: &Decision) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (decided, why) = match decision {
            Decision::Do { step, why, .. } => (format!("do: {step}"), *why),
            Decision::Wait(what) | Decision::Yield(what) if *what == *waiting => return,
            Decision::Wait(what) | Decision::Yield(what) => (format!("wait: {what}"), ""),
            Decision::Done(done) => (format!("done: {}", done.message), ""),
            Decision::Fail(error) => (format!("fail: {error}"), ""),
        };
        *waiting = match decision {
            Decision::Wait(what) | Decision::Yield(what) => what.clone(),
            _ => String::new(),
        };
        info!(service = %job.role, release = %job.release, stage = %job.action.stage(), action = %job.action, why, "{decided}");
    }
}

/// A step that the stage's [`crate::Changes`] don't name: its operation isn't linked.
fn unfit<S>(step: &Step) -> Error {
    Error::new(Kind::Bug, format!("tagship: {} can't {step}", std::any::type_name::<S>()))
}
