//! What is read for a plan: all that the functions would look at if a release began now.

use super::Account;
use crate::{artifact, cloudwatch, codedeploy, ec2, elb, holds, offer, route53};
use tagship::settings::{Ami, Settings, TargetGroup};
use tagship::{Error, Held, Parts, ReleaseId, ServiceRole, UserData, World};

/// The world as it is, as far as it could be read.
#[derive(Debug, Default)]
pub struct Foreseen {
    /// The service's hold, whoever's it is.
    pub held: Option<Held>,
    /// What was read.
    pub world: World,
    /// The parts that couldn't be read, or that the functions would refuse.
    pub failed: Vec<(Parts, Error)>,
}

impl Account {
    /// All that a release would look at, with the settings as they are now.
    ///
    /// # Errors
    ///
    /// If the bucket refuses: without the hold nothing is known.
    pub async fn foreseen(
        &self,
        role: &ServiceRole,
        release: &ReleaseId,
        settings: &Settings,
    ) -> Result<Foreseen, Error> {
        let cloud = &self.cloud;
        let held = holds::holding(cloud, role, release, false).await?.held;
        let mut failed = Vec::new();
        let offered = offer::resolved(cloud, role, offer::Asks::Person).await;
        let offer = part(Parts::OFFER, offered, &mut failed);
        // What is resolved is what the functions go by; where it can't be, the rest is read by what was written.
        let settings = offer.as_ref().map_or(settings, |offer| &offer.settings);
        let known = elb::Known::default();
        let pair = async {
            match &settings.target_group {
                TargetGroup::Pair(selector) => {
                    let routing = elb::routing(cloud, role, selector, &known).await?;
                    let balancer = elb::balancer(cloud, &known.pair(selector), settings).await;
                    Ok((Some(routing), balancer))
                }
                TargetGroup::None => Ok((None, Ok(None))),
            }
        };
        let names = async {
            match &settings.zone {
                Some(zone) => route53::names(cloud, &route53::Zones::default(), role, zone).await,
                None => Ok(Vec::new()),
            }
        };
        let devices = async {
            match &settings.ami {
                Ami::Id(ami) => ec2::devices(cloud, ami).await,
                _ => Ok(None),
            }
        };
        let alarms = async {
            match settings.alarms.ids() {
                [] => Ok(Vec::new()),
                names => cloudwatch::alarms(cloud, names).await,
            }
        };
        let artifact = async {
            match &settings.artifact {
                Some(tag) => artifact::newest(cloud, tag).await.map(Some),
                None => Ok(None),
            }
        };
        let holder = async {
            match held.as_ref().filter(|held| !held.free()) {
                Some(held) => self.execution(&held.hold.pipeline, &held.hold.release).await.map(Some),
                None => Ok(None),
            }
        };
        let (instances, routing, addresses, names, filtered, devices, alarms, artifact, roster, holder) = tokio::join!(
            ec2::instances(cloud, role),
            pair,
            ec2::addresses(cloud, role, &settings.eip),
            names,
            codedeploy::filtered(cloud, &settings.deploy, role, release),
            devices,
            alarms,
            artifact,
            holds::roster(cloud, role),
            holder,
        );
        let failed_parts = &mut failed;
        let (routing, balancer) = part(Parts::ROUTING, routing, failed_parts).unwrap_or((None, Ok(None)));
        let world = World {
            instances: part(Parts::INSTANCES, instances, failed_parts).unwrap_or_default(),
            routing,
            balancer: part(Parts::BALANCER, balancer, failed_parts).flatten(),
            addresses: part(Parts::ADDRESSES, addresses, failed_parts).unwrap_or_default(),
            names: part(Parts::NAMES, names, failed_parts).unwrap_or_default(),
            filtered: part(Parts::FILTER, filtered, failed_parts).unwrap_or_default(),
            devices: part(Parts::IMAGE, devices, failed_parts).flatten(),
            alarms: part(Parts::ALARMS, alarms, failed_parts).unwrap_or_default(),
            artifact: part(Parts::ARTIFACT, artifact, failed_parts).flatten(),
            roster: part(Parts::ROSTER, roster, failed_parts).flatten(),
            holder: part(Parts::HOLDER, holder, failed_parts).flatten(),
            user_data: offer.as_ref().and_then(|offer| offer.user_data.clone()).map(UserData),
            offer,
            ..World::default()
        };
        Ok(Foreseen { held, world, failed })
    }
}

fn part<T>(part: Parts, read: Result<T, Error>, failed: &mut Vec<(Parts, Error)>) -> Option<T> {
    read.map_err(|error| failed.push((part, error))).ok()
}
