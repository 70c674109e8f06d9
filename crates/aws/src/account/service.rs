//! What is read of services: the functions' own readers, for people.

use super::{Account, Own};
use crate::error::Called;
use crate::{cloudwatch, codedeploy, ec2, elb, holds, offer, route53};
use std::collections::{BTreeMap, BTreeSet};
use tagship::settings::{Choice, Selector, Settings, TargetGroup};
use tagship::{
    Alarm, Deployment, Ended, Error, Hold, Holding, Instance, Offer, Record, ReleaseId, Routing, ServiceRole,
    TAG_SERVICE,
};

impl Account {
    /// The services that have a variable of settings.
    pub fn services(&self) -> BTreeSet<ServiceRole> {
        let names = self.cloud.variables.keys().filter(|name| !name.starts_with("TAGSHIP_"));
        names.filter_map(|name| ServiceRole::try_from(name.clone()).ok()).collect()
    }

    /// Whether the settings could be read at all.
    pub fn sees_settings(&self) -> bool {
        self.revision.is_some()
    }

    /// The services that are held, and their holds.
    ///
    /// # Errors
    ///
    /// If S3 refuses.
    pub async fn holds(&self) -> Result<Vec<(ServiceRole, Hold)>, Error> {
        holds::list(&self.cloud).await
    }

    /// A service's hold, and the marker of one of its releases.
    ///
    /// # Errors
    ///
    /// If S3 refuses.
    pub async fn holding(&self, role: &ServiceRole, release: &ReleaseId) -> Result<Holding, Error> {
        holds::holding(&self.cloud, role, release, false).await
    }

    /// A service's hold; none if it isn't held.
    ///
    /// # Errors
    ///
    /// If S3 refuses.
    pub async fn hold(&self, role: &ServiceRole) -> Result<Option<Hold>, Error> {
        holds::hold(&self.cloud, role).await
    }

    /// How a release ended; none if it hasn't.
    ///
    /// # Errors
    ///
    /// If S3 refuses.
    pub async fn ended(&self, role: &ServiceRole, release: &ReleaseId) -> Result<Option<Ended>, Error> {
        holds::ended(&self.cloud, role, release).await
    }

    /// A service's settings as they are now, selectors not looked up.
    ///
    /// # Errors
    ///
    /// If it has none, or they are wrong.
    pub async fn offered(&self, role: &ServiceRole) -> Result<Offer, Error> {
        offer::offered(&self.cloud, role).await
    }

    /// The same, with selectors looked up, as provision would take them. Whether hooks can be called, only provision
    /// finds out: it is for the functions' roles to say.
    ///
    /// # Errors
    ///
    /// If they are wrong, or find nothing.
    pub async fn resolved(&self, role: &ServiceRole) -> Result<Offer, Error> {
        offer::resolved(&self.cloud, role, offer::Asks::Person).await
    }

    /// Every instance with the service's tag.
    ///
    /// # Errors
    ///
    /// If EC2 refuses.
    pub async fn instances(&self, role: &ServiceRole) -> Result<Vec<Instance>, Error> {
        ec2::instances(&self.cloud, role).await
    }

    /// Every instance of any service.
    ///
    /// # Errors
    ///
    /// If EC2 refuses.
    pub async fn all_instances(&self) -> Result<Vec<(ServiceRole, Instance)>, Error> {
        ec2::instances_of_all(&self.cloud).await
    }

    /// The pair and its switches.
    ///
    /// # Errors
    ///
    /// If Elastic Load Balancing refuses.
    pub async fn routing(&self, role: &ServiceRole, selector: &Selector) -> Result<Routing, Error> {
        elb::routing(&self.cloud, role, selector, &elb::Known::default()).await
    }

    /// What carries a service's own tags: where its pair, its switches and its alarms are found before its settings are
    /// known.
    ///
    /// # Errors
    ///
    /// If tags may not be read.
    pub async fn own(&self, role: &ServiceRole) -> Result<Own, Error> {
        elb::own(&self.cloud, role).await
    }

    /// The pair with its switches, and the alarms, for somebody who looks once: in two rounds of calls.
    pub async fn traffic(
        &self,
        role: &ServiceRole,
        settings: &Settings,
        own: Result<Own, Error>,
    ) -> (Result<Option<Routing>, Error>, Result<Vec<Alarm>, Error>) {
        let own = match own {
            Ok(own) => own,
            Err(error) => return (Err(error.clone()), Err(error)),
        };
        let routing = async {
            match &settings.target_group {
                TargetGroup::Pair(selector) => elb::look(&self.cloud, role, selector, &own).await.map(Some),
                TargetGroup::None => Ok(None),
            }
        };
        let alarms = async {
            let found = match &settings.alarms {
                Choice::Tags(selector) => own.alarms(role, selector),
                Choice::Ids(_) => None,
            };
            match found {
                Some(names) if names.is_empty() => Ok(Vec::new()),
                Some(names) => cloudwatch::alarms(&self.cloud, &names).await,
                None => self.alarms(settings).await,
            }
        };
        tokio::join!(routing, alarms)
    }

    /// The service's records in its private zone.
    ///
    /// # Errors
    ///
    /// If Route 53 refuses.
    pub async fn names(&self, role: &ServiceRole, zone: &str) -> Result<Vec<Record>, Error> {
        route53::names(&self.cloud, &route53::Zones::default(), role, zone).await
    }

    /// The alarms that these settings name, or that their tags find.
    ///
    /// # Errors
    ///
    /// If CloudWatch refuses.
    pub async fn alarms(&self, settings: &Settings) -> Result<Vec<Alarm>, Error> {
        let names = match settings.alarms.ids() {
            [] => cloudwatch::heeded(&self.cloud, &settings.alarms).await?,
            names => names.to_vec(),
        };
        if names.is_empty() { Ok(Vec::new()) } else { cloudwatch::alarms(&self.cloud, &names).await }
    }

    /// How long each of these metric alarms needs to ring, in seconds.
    ///
    /// # Errors
    ///
    /// If CloudWatch refuses.
    pub async fn alarm_delays(&self, alarms: &[Alarm]) -> Result<BTreeMap<String, u32>, Error> {
        let names: Vec<String> = alarms.iter().map(|alarm| alarm.name.clone()).collect();
        if names.is_empty() { Ok(BTreeMap::new()) } else { cloudwatch::delays(&self.cloud, &names).await }
    }

    /// Whether the functions may publish to this topic: whether it has the tag `tagship:service`, of any value.
    ///
    /// # Errors
    ///
    /// If there is no such topic, or SNS refuses.
    pub async fn may_tell(&self, topic: &str) -> Result<bool, Error> {
        let answer = self.cloud.sns().list_tags_for_resource().resource_arn(topic).send().await;
        let answer = answer.called("sns:ListTagsForResource", topic)?;
        Ok(answer.tags().iter().any(|tag| tag.key() == TAG_SERVICE))
    }

    /// The deployment of the release that holds, with what it did on each instance.
    ///
    /// # Errors
    ///
    /// If CodeDeploy refuses.
    pub async fn deployment(&self, hold: &Hold) -> Result<Option<Deployment>, Error> {
        codedeploy::deployment(&self.cloud, &codedeploy::Known::default(), &hold.settings.deploy, hold).await
    }
}
