//! The settings of a service as its variable says them now, with every selector looked up.

use crate::error::Called;
use crate::{Cloud, cloudwatch, ec2, hooks, route53};
use std::collections::BTreeMap;
use tagship::settings::{Ami, Resolved, Settings, missing, reference};
use tagship::{Error, Offer, ServiceRole};

/// Who has settings looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// The function that takes them: by its role, hooks are called as well.
    Provision,
    /// A person, who needn't be allowed to call them.
    Person,
}

/// The settings as they would be taken into a hold.
pub(crate) async fn resolved(cloud: &Cloud, role: &ServiceRole, asks: Asks) -> Result<Offer, Error> {
    looked_up(cloud, offered(cloud, role).await?, asks).await
}

/// The same of settings that are at hand.
pub(crate) async fn looked_up(cloud: &Cloud, offer: Offer, asks: Asks) -> Result<Offer, Error> {
    let Offer { settings, user_data } = offer;
    let parameter = async {
        match &settings.ami {
            Ami::Parameter(path) => parameter(cloud, path).await,
            _ => Ok(None),
        }
    };
    let lacking = async {
        match asks {
            Asks::Provision => hooks::lacking(cloud, &settings).await,
            Asks::Person => Ok(BTreeMap::new()),
        }
    };
    // A person's own look at the names finds the zone, or says that it isn't there yet.
    let zones = async {
        match &settings.zone {
            Some(zone) if asks == Asks::Provision => route53::find(cloud, zone).await.map(Some),
            _ => Ok(None),
        }
    };
    let (subnets, security_groups, images, image_parameter, alarms, zones, hooks) = tokio::try_join!(
        ec2::subnets(cloud, &settings.subnet),
        ec2::security_groups(cloud, &settings.sg),
        ec2::images(cloud, &settings.ami),
        parameter,
        cloudwatch::heeded(cloud, &settings.alarms),
        zones,
        lacking,
    )?;
    let found = Resolved { subnets, images, image_parameter, security_groups, alarms, zones, hooks };
    Ok(Offer { settings: settings.resolve(found)?, user_data })
}

/// The settings as the variable, or the parameter that it refers to, has them; without a variable, as the service's own
/// parameter has them: all variables together take 4 KB, too little for a company's.
pub(crate) async fn offered(cloud: &Cloud, role: &ServiceRole) -> Result<Offer, Error> {
    let Some(text) = cloud.variables.get(role.as_str()) else {
        let own = match &cloud.settings {
            Some(prefix) => parameter(cloud, &format!("{prefix}{role}")).await?,
            None => None,
        };
        let text = own.ok_or_else(|| missing(role, cloud.variables.keys().map(String::as_str)))?;
        return Settings::parse(role, &text);
    };
    match reference(text) {
        None => Settings::parse(role, text),
        Some(path) => {
            let text = parameter(cloud, path).await?.ok_or_else(|| {
                Error::configuration(format!("the settings of {role} are to be in parameter {path}: there is none"))
            })?;
            Settings::parse_parameter(role, path, &text)
        }
    }
}

/// A parameter's value, decrypted; none if there is no such parameter.
async fn parameter(cloud: &Cloud, path: &str) -> Result<Option<String>, Error> {
    let request = cloud.ssm().get_parameter().name(path).with_decryption(true);
    match request.send().await.called("ssm:GetParameter", path) {
        Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value)),
        Err(error) if error.code.as_deref() == Some("ParameterNotFound") => Ok(None),
        Err(error) => Err(error),
    }
}
