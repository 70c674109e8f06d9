//! One service's settings as they are stored: in a variable of provision, or in a parameter.

use super::functions::Configuration;
use super::{Account, functions};
use crate::error::Called;
use aws_sdk_lambda::types::Environment;
use aws_sdk_ssm::types::ParameterType;
use std::collections::BTreeMap;
use tagship::settings::reference;
use tagship::{Error, Kind, ServiceRole, StageName};

/// What all variables of a function may have together, in bytes: Lambda's own limit.
const VARIABLES_MAX: usize = 4_096;

/// Where a service's settings are, and their text.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    /// In a variable of the provision function.
    Variable(String),
    /// In a parameter of Systems Manager.
    Parameter {
        /// Its name.
        path: String,
        /// Its value.
        text: String,
        /// The version that was read.
        version: i64,
    },
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable(_) => f.write_str("Variable(…)"),
            Self::Parameter { path, version, .. } => write!(f, "Parameter({path} version {version}, …)"),
        }
    }
}

impl Stored {
    /// The settings as ops wrote them. May hold secrets.
    pub fn text(&self) -> &str {
        match self {
            Self::Variable(text) | Self::Parameter { text, .. } => text,
        }
    }
}

impl Account {
    /// A service's settings as they are stored; none if there are none.
    ///
    /// # Errors
    ///
    /// If the function's configuration or the parameter can't be read.
    pub async fn stored(&self, role: &ServiceRole) -> Result<Option<Stored>, Error> {
        let own = self.cloud.settings.as_ref().map(|prefix| format!("{prefix}{role}"));
        let path = match self.cloud.variables.get(role.as_str()) {
            Some(text) => match reference(text) {
                None => return Ok(Some(Stored::Variable(text.clone()))),
                Some(path) => path.to_owned(),
            },
            None => match own {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let request = self.cloud.ssm().get_parameter().name(&path).with_decryption(true);
        match request.send().await.called("ssm:GetParameter", &path) {
            Ok(answer) => Ok(answer.parameter.map(|found| Stored::Parameter {
                path,
                version: found.version,
                text: found.value.unwrap_or_default(),
            })),
            Err(error) if error.code.as_deref() == Some("ParameterNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a service's settings where they are stored, a variable if they are new; no text removes the variable.
    /// Answers with a warning, where somebody else's write was overwritten.
    ///
    /// # Errors
    ///
    /// If somebody changed the function meanwhile, all variables together are too long, or AWS refuses.
    pub async fn store(
        &self,
        role: &ServiceRole,
        now: Option<&Stored>,
        text: Option<&str>,
    ) -> Result<Option<String>, Error> {
        match (now, text) {
            (Some(Stored::Parameter { path, version, .. }), Some(text)) => {
                let request = self.cloud.ssm_changes().put_parameter().name(path).value(text).overwrite(true);
                let written = request.send().await.called("ssm:PutParameter", path)?.version();
                Ok((written != version + 1).then(|| {
                    format!(
                        "somebody else wrote {path} meanwhile: version {} was overwritten. Look at it: aws ssm \
                         get-parameter --with-decryption --name {path}:{}",
                        written - 1,
                        written - 1
                    )
                }))
            }
            (Some(Stored::Parameter { path, .. }), None) => {
                self.cloud
                    .ssm_changes()
                    .delete_parameter()
                    .name(path)
                    .send()
                    .await
                    .called("ssm:DeleteParameter", path)?;
                Ok(None)
            }
            (Some(Stored::Variable(_)) | None, text) => self.write_variable(role, now, text).await.map(|()| None),
        }
    }

    /// Creates the service's own parameter, which has more room than a variable.
    ///
    /// # Errors
    ///
    /// If there is one already, the installation has none, or AWS refuses.
    pub async fn store_as_parameter(&self, role: &ServiceRole, text: &str) -> Result<String, Error> {
        let prefix = self.cloud.settings.as_ref().ok_or_else(|| {
            Error::configuration("this installation has no TAGSHIP_SETTINGS: settings are kept in variables alone")
        })?;
        let path = format!("{prefix}{role}");
        let request =
            self.cloud.ssm_changes().put_parameter().name(&path).value(text).r#type(ParameterType::SecureString);
        request.overwrite(false).send().await.called("ssm:PutParameter", &path)?;
        Ok(path)
    }

    async fn write_variable(&self, role: &ServiceRole, now: Option<&Stored>, text: Option<&str>) -> Result<(), Error> {
        let function = self.function(StageName::Provision);
        let Configuration { mut variables, revision, .. } = functions::configuration(&self.cloud, &function).await?;
        if variables.get(role.as_str()).map(String::as_str) != now.map(Stored::text) {
            return Err(changed(role));
        }
        match text {
            Some(text) => variables.insert(role.to_string(), text.to_owned()),
            None => variables.remove(role.as_str()),
        };
        let size = serde_json::to_string(&variables).map_or(0, |json| json.len());
        if size > VARIABLES_MAX {
            let path = self.cloud.settings.clone().unwrap_or_else(|| "/tagship/".to_owned());
            return Err(Error::configuration(format!(
                "all variables together would have {size} bytes, Lambda takes {VARIABLES_MAX}: nothing was written. Keep \
                 these settings in the parameter {path}{role}: `tagship settings set {role} FILE --parameter`"
            )));
        }
        let environment = Environment::builder().set_variables(Some(variables.into_iter().collect())).build();
        let request = self.cloud.lambda_changes().update_function_configuration().function_name(&function);
        let sent = request.revision_id(revision).environment(environment).send().await;
        match sent.called("lambda:UpdateFunctionConfiguration", &function) {
            Ok(_) => Ok(()),
            Err(error) if error.code.as_deref() == Some("PreconditionFailedException") => Err(changed(role)),
            Err(error) => Err(error),
        }
    }

    /// Every variable of provision but the installation's own: for what is said of room.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.cloud.variables
    }
}

fn changed(role: &ServiceRole) -> Error {
    Error::new(
        Kind::Conflict,
        format!(
            "somebody changed the function's configuration meanwhile: nothing was written. Look again (`tagship settings \
             show {role}`), then repeat"
        ),
    )
}
