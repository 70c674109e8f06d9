//! [`Aws`], the port: which calls one observation and one step are.

use crate::{Adapted, Cloud, artifact, codedeploy, codepipeline, ec2, elb, events, holds, offer, route53};
use jiff::Timestamp;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tagship::notify::Notice;
use tagship::settings::{Eip, Settings, TargetGroup};
use tagship::{
    Action, Decision, Error, Holding, Install, Job, Kind, Look, Offer, Port, ReleaseId, Routing, ServiceRole, Step,
    Verdict, World,
};
use tracing::info;

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
    topic: Mutex<Option<String>>,
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
    pub(crate) fn topic(&self) -> Option<String> {
        self.topic.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember_topic(&self, settings: &Settings) {
        (*self.topic.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&settings.topic);
    }

    /// A read that ends in time for what follows it: a change, the notice, the report.
    async fn in_time<T>(&self, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let end = self.until.max(Instant::now()) + OVERTIME;
        tokio::time::timeout_at(end.into(), read).await.unwrap_or_else(|_| {
            Err(Error::new(Kind::Unavailable, "AWS had not answered when this invocation's time was over"))
        })
    }

    /// All that the stage reads of a service with these settings, at once. SDK futures are of many kilobytes each:
    /// boxed, they don't add up on the stack.
    async fn read(&self, look: &Look<'_>, settings: &Settings) -> Result<World, Error> {
        let (cloud, job) = (self.cloud, look.job);
        let instances =
            async { if S::READS.instances { ec2::instances(cloud, &job.role).await } else { Ok(Vec::new()) } };
        let routing = async {
            let TargetGroup::Pair(selector) = &settings.target_group else { return Ok(None) };
            if S::READS.routing {
                return elb::routing(cloud, selector, &self.actions).await.map(Some);
            }
            Ok::<Option<Routing>, Error>(None)
        };
        let addresses = async {
            // Cleanup looks whatever the settings say now: earlier ones may have allocated some.
            if S::READS.addresses && (settings.eip != Eip::None || S::CHANGES.addresses) {
                return ec2::addresses(cloud, &job.role, &settings.eip).await;
            }
            Ok(Vec::new())
        };
        let names = async {
            let Some(zone) = &settings.zone else { return Ok(Vec::new()) };
            if S::READS.names { route53::names(cloud, &self.zones, &job.role, zone).await } else { Ok(Vec::new()) }
        };
        let held = look.holding.held.as_ref().map(|held| &held.hold).filter(|hold| hold.release == job.release);
        let install = async {
            let Some(hold) = held else { return Ok(None) };
            if S::READS.install {
                let read = codedeploy::install(cloud, &settings.deploy, &job.role, &job.release, hold.since);
                return read.await.map(Some);
            }
            Ok::<Option<Install>, Error>(None)
        };
        let artifact = async {
            let Some(hold) = held else { return Ok(None) };
            if S::READS.artifact { artifact::find(cloud, job, hold).await.map(Some) } else { Ok(None) }
        };
        let (instances, routing, addresses, names, install, artifact) = tokio::try_join!(
            Box::pin(instances),
            Box::pin(routing),
            Box::pin(addresses),
            Box::pin(names),
            Box::pin(install),
            Box::pin(artifact)
        )?;
        Ok(World { instances, routing, addresses, names, install, artifact, ..World::default() })
    }

    /// The settings to go by and, for provision, what they say now.
    async fn settings(&self, look: &Look<'_>) -> Result<(Option<Settings>, Option<Offer>), Error> {
        let own = look.settings().cloned();
        if S::READS.settings {
            if look.verdict == Verdict::Take {
                let offer = Box::pin(offer::resolved(self.cloud, &look.job.role)).await?;
                self.remember_topic(&offer.settings);
                return Ok((Some(offer.settings.clone()), Some(offer)));
            }
            if let Some(settings) = own.as_ref().filter(|settings| settings.user_data_sha256.is_some()) {
                // The hold has the text's hash only.
                let Offer { user_data, .. } = Box::pin(offer::offered(self.cloud, &look.job.role)).await?;
                let offer = Offer { settings: settings.clone(), user_data };
                return Ok((own, Some(offer)));
            }
        }
        Ok((own, None))
    }

    async fn look(&self, look: &Look<'_>) -> Result<World, Error> {
        let now = self.now();
        if S::READS.holder && (look.verdict == Verdict::AwaitHolder || look.job.action == Action::Sweep) {
            let holder = match &look.holding.held {
                Some(held) => Some(Box::pin(codepipeline::execution(self.cloud, &held.hold)).await?),
                None => None,
            };
            return Ok(World { now, holder, ..World::default() });
        }
        let (settings, offer) = self.settings(look).await?;
        let world = match settings {
            Some(settings) => self.read(look, &settings).await?,
            None => World::default(),
        };
        Ok(World { now, settings: offer, ..world })
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
        let (cloud, role) = (self.cloud, &look.job.role);
        let deploy = || look.settings().map(|settings| &settings.deploy).ok_or_else(|| unfit::<S>(step));
        match step {
            Step::WriteHold { hold, etag } => holds::write(cloud, role, hold, etag.as_deref()).await,
            Step::WriteEnded(ended) => holds::write_ended(cloud, role, ended).await,
            Step::DeleteHold { etag } => holds::delete(cloud, role, etag).await,
            Step::Launch(launch) if S::CHANGES.launch => ec2::launch(cloud, launch).await,
            Step::AllocateAddress { tags } if S::CHANGES.launch => ec2::allocate(cloud, tags).await,
            Step::AssociateAddress { address, instance } if S::CHANGES.launch => {
                ec2::associate(cloud, address, instance).await
            }
            Step::Terminate { instances } if S::CHANGES.terminate => ec2::terminate(cloud, instances).await,
            Step::TagRetired { instances, by } if S::CHANGES.retire => ec2::tag_retired(cloud, instances, by).await,
            Step::Stop { instances } if S::CHANGES.retire => ec2::stop(cloud, instances).await,
            Step::DisassociateAddress { address, association } if S::CHANGES.addresses => {
                ec2::disassociate(cloud, address, association).await
            }
            Step::ReleaseAddress { address } if S::CHANGES.addresses => ec2::release_address(cloud, address).await,
            Step::ChangeNames { zone, changes } if S::CHANGES.names => {
                route53::change(cloud, &self.zones, zone, changes).await
            }
            Step::FilterDeployments { release } if S::CHANGES.install => {
                codedeploy::filter(cloud, deploy()?, role, release).await
            }
            Step::CreateDeployment { release, artifact } if S::CHANGES.install => {
                codedeploy::create(cloud, deploy()?, release, artifact).await
            }
            Step::StopDeployment { deployment } if S::CHANGES.stop_install => codedeploy::stop(cloud, deployment).await,
            Step::Register { group, instances, port } if S::CHANGES.install => {
                elb::register(cloud, group, instances, *port).await
            }
            Step::Deregister { group, targets } if S::CHANGES.deregister => {
                elb::deregister(cloud, group, targets).await
            }
            Step::SetWeights { switch, label, weights } if S::CHANGES.weights => {
                elb::set_weights(cloud, &self.actions, switch, label, weights).await
            }
            Step::Abandon { release, pipeline, action, reason } if S::CHANGES.abandon => {
                events::put(cloud, &Notice::abandoned(role, release, pipeline, *action, reason)).await
            }
            _ => Err(unfit::<S>(step)),
        }
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
