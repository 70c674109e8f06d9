//! Which service is meant, and its pipeline.

use crate::end::Failure;
use tagship::settings::{Settings, closest};
use tagship::{Hold, Pipeline, ServiceRole, listed};
use tagship_aws::Account;

/// A service that exists.
pub(crate) struct Service {
    pub(crate) role: ServiceRole,
    /// Its settings; none if the person may not read them, or they are wrong.
    pub(crate) settings: Option<Settings>,
}

/// How exactly a service has to be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By its role alone: something is done to it.
    Exact,
    /// By its label too: `web-product` is `WEB_PRODUCT`.
    Loose,
}

/// The service of that name.
pub(crate) async fn named(account: &Account, name: &str, naming: Naming) -> Result<Service, Failure> {
    let role = ServiceRole::try_from(match naming {
        Naming::Exact => name.to_owned(),
        Naming::Loose => name.replace('-', "_"),
    })
    .map_err(Failure::Usage)?;
    let services = account.services();
    let role = match services.contains(&role) {
        true => role,
        false => {
            let alike = services.iter().find(|known| known.as_str().eq_ignore_ascii_case(role.as_str()));
            match (naming, alike) {
                (Naming::Loose, Some(known)) => known.clone(),
                (Naming::Exact, Some(known)) => {
                    return Err(Failure::usage(format!("there is no service {name}: do you mean {known}?")));
                }
                (_, None) => role,
            }
        }
    };
    if !account.sees_settings() {
        return Ok(Service { role, settings: None });
    }
    match account.offered(&role).await {
        Ok(offer) => Ok(Service { role, settings: Some(offer.settings) }),
        // Wrong settings are a service's still.
        Err(_) if services.contains(&role) => Ok(Service { role, settings: None }),
        Err(error) => match account.stored(&role).await {
            Ok(None) => Err(unknown(account, &role)),
            _ => Err(error.into()),
        },
    }
}

/// That there is no such service, with the one that was probably meant.
pub(crate) fn unknown(account: &Account, role: &ServiceRole) -> Failure {
    let services = account.services();
    let names: Vec<&str> = services.iter().map(ServiceRole::as_str).collect();
    Failure::usage(match (closest(role.as_str(), names.iter().copied()), names.is_empty()) {
        (Some(meant), _) => format!("there is no service {role}: do you mean {meant}?"),
        (None, false) => format!("there is no service {role}. There are: {}", listed(names)),
        (None, true) => format!("there is no service {role}, and no other yet: `tagship onboard {role}` begins it"),
    })
}

impl Service {
    /// The pipeline that releases it.
    pub(crate) async fn pipeline(&self, account: &Account, hold: Option<&Hold>) -> Result<Pipeline, Failure> {
        Ok(account.pipeline(&self.pipeline_name(hold)?).await?)
    }

    /// Its name: as the hold has it, else the settings.
    pub(crate) fn pipeline_name(&self, hold: Option<&Hold>) -> Result<String, Failure> {
        let named = self.settings.as_ref().and_then(|settings| settings.pipeline.clone());
        hold.map(|hold| hold.pipeline.clone()).or(named).ok_or_else(|| {
            Failure::usage(format!(
                "the pipeline of {} isn't known: its settings don't say PIPELINE, or you may not read them",
                self.role
            ))
        })
    }
}
