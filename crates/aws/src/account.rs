//! The account as a person's command sees it: what people look at, and the few calls that they make.
//!
//! It changes no instance, no switch, no name, no deployment and no hold: that is the functions' alone.

mod answer;
mod foreseen;
mod functions;
mod ground;
mod pipelines;
mod rules;
mod service;
mod settings;
mod site;
mod upload;
mod watched;

pub use crate::elb::Own;
pub use foreseen::Foreseen;
pub use functions::Log;
pub use rules::EventRule;
pub use settings::Stored;
pub use site::{Listener, Site, Subnet};
pub use upload::Uploaded;
pub use watched::Watched;

use crate::Cloud;
use crate::cloud::{loaded, of_profile};
use aws_config::ConfigLoader;
use aws_credential_types::provider::ProvideCredentials;
use std::collections::BTreeMap;
use tagship::{Error, Kind};

/// The path of instance roles where an installation doesn't say another: the templates' default.
pub const INSTANCE_ROLES: &str = "/tagship/instance/";

/// Who asks: what a profile, the environment, single sign-on or a credential process gives.
pub struct Person {
    base: aws_config::SdkConfig,
    prefix: String,
}

/// Why there is no account to look at.
#[derive(Debug)]
pub enum Opened {
    /// No credentials, or no Region.
    Nobody(String),
    /// AWS refused, or there is no such installation.
    Refused(Error),
}

/// An installation of tagship in an account.
pub struct Account {
    cloud: Cloud,
    /// What the names of the functions begin with: `tagship-`.
    prefix: String,
    /// The revision of provision's configuration, which has the settings; none if it couldn't be read.
    revision: Option<String>,
    /// The version that the functions say they are of; none if they don't, or it couldn't be read.
    version: Option<String>,
    /// The account's number; none if it couldn't be read.
    number: Option<String>,
}

impl Person {
    /// Finds the credentials and the Region: of that profile, if one is named.
    ///
    /// # Errors
    ///
    /// If there are none, with what to do about it.
    pub async fn new(access: ConfigLoader, profile: Option<&str>, prefix: &str) -> Result<Self, Opened> {
        let base = match profile {
            Some(profile) => of_profile(access, profile).await,
            None => loaded(access).await,
        };
        if base.region().is_none() {
            return Err(Opened::Nobody(
                "no Region is set: give --region, set AWS_REGION, or write `region` into the profile".to_owned(),
            ));
        }
        let whose = profile.map(|name| format!(" of profile {name} (is it in ~/.aws/config?)")).unwrap_or_default();
        let nobody = |why: String| {
            Opened::Nobody(format!(
                "no AWS credentials{whose}: {}. Log in first: `aws sso login` for single sign-on, `aws configure` for keys, or \
                 name a profile with --profile. Where a profile asks for an MFA code, get a session with `aws sts \
                 get-session-token --serial-number ARN --token-code CODE` and export its three values",
                why.trim_end_matches('.')
            ))
        };
        let provider = base.credentials_provider().ok_or_else(|| nobody("none are configured".to_owned()))?;
        if let Err(error) = provider.provide_credentials().await {
            let mut why = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                why = inner.to_string();
                source = inner.source();
            }
            return Err(nobody(why));
        }
        Ok(Self { base, prefix: prefix.to_owned() })
    }

    /// Finds the installation by its functions' names: what provision's variables say of it.
    ///
    /// # Errors
    ///
    /// If there is none in this account and Region, or the person may not read it.
    pub async fn open(self, bucket: Option<String>) -> Result<Account, Opened> {
        let blind = Cloud::of(BTreeMap::new(), &self.base);
        let provision = format!("{}provision", self.prefix);
        let (mut variables, revision, number) = match functions::configuration(&blind, &provision).await {
            Ok(found) => (found.variables, Some(found.revision), found.account),
            // Who may not read the settings can look at the rest, if the bucket is told.
            Err(error) if error.kind == Kind::Denied && bucket.is_some() => (BTreeMap::new(), None, None),
            Err(error) if error.code.as_deref() == Some("ResourceNotFoundException") => {
                return Err(Opened::Refused(Error::configuration(format!(
                    "there is no function {provision} in Region {}: is this the right account and Region? Where the \
                     functions' names begin otherwise, give --prefix",
                    blind.region
                ))));
            }
            Err(error) => return Err(Opened::Refused(error)),
        };
        let version = variables.get("TAGSHIP_VERSION").cloned();
        variables.extend(bucket.map(|bucket| ("TAGSHIP_BUCKET".to_owned(), bucket)));
        let cloud = Cloud::of(variables, &self.base);
        if cloud.bucket.is_empty() {
            return Err(Opened::Refused(Error::configuration(format!(
                "the function {provision} has no variable TAGSHIP_BUCKET: it is no function of tagship, or was changed by \
                 hand. `make deploy` sets it"
            ))));
        }
        Ok(Account { cloud, prefix: self.prefix, revision, version, number })
    }
}

impl Account {
    /// The Region's name.
    pub fn region(&self) -> &str {
        &self.cloud.region
    }

    /// The account's number; none if the functions' configuration may not be read.
    pub fn number(&self) -> Option<&str> {
        self.number.as_deref()
    }

    /// The version of the functions, as their stack says it; none if that is older than this, or may not be read.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The path of the instance roles that provision may pass.
    pub fn passes(&self) -> &str {
        self.cloud.variables.get("TAGSHIP_INSTANCE_ROLES").map_or(INSTANCE_ROLES, String::as_str)
    }

    /// What the names of the functions begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A function's name: `tagship-route`.
    pub fn function(&self, stage: tagship::StageName) -> String {
        format!("{}{stage}", self.prefix)
    }
}
