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
    let role = meant(account, name, naming)?;
    let settings = settings(account, &role).await?;
    Ok(Service { role, settings })
}

/// Which service is meant, as far as the name alone tells.
pub(crate) fn meant(account: &Account, name: &str, naming: Naming) -> Result<ServiceRole, Failure> {
    let role = ServiceRole::try_from(match naming {
        Naming::Exact => name.to_owned(),
        Naming::Loose => name.replace('-', "_"),
    })
    .map_err(Failure::Usage)?;
    let services = account.services();
    if services.contains(&role) {
        return Ok(role);
    }
    let alike = services.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(role.as_str()));
    match (naming, alike) {
        (Naming::Loose, Some(known)) => Ok(known),
        (Naming::Exact, Some(known)) => {
            Err(Failure::usage(format!("there is no service {name}: do you mean {known}?")))
        }
        (_, None) => Ok(role),
    }
}

/// The service's settings; none if the person may not read them, or they are wrong. It fails if there is no such service.
pub(crate) async fn settings(account: &Account, role: &ServiceRole) -> Result<Option<Settings>, Failure> {
    if !account.sees_settings() {
        return Ok(None);
    }
    match account.offered(role).await {
        Ok(offer) => Ok(Some(offer.settings)),
        // Wrong settings are a service's still.
        Err(_) if account.services().contains(role) => Ok(None),
        Err(error) => match account.stored(role).await {
            Ok(None) => Err(unknown(account, role)),
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
    /// The settings that it goes by: as the release that holds it took them, else as they are now.
    pub(crate) fn in_force<'a>(&'a self, hold: Option<&'a Hold>) -> Option<&'a Settings> {
        hold.map(|hold| &hold.settings).or(self.settings.as_ref())
    }

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
