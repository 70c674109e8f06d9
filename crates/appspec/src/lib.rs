//! Reads a build's archive as CodeDeploy's agent (1.8.1) does, and says what is wrong with it.
//!
//! In reading order: `value` and `yaml`, YAML as Ruby reads it; `appspec` and `permission`, what the agent makes of an
//! `appspec.yml`; `plan`, what it would then do; `check`, all that is wrong with an archive.

mod value;
mod yaml;

mod appspec;
mod permission;

mod plan;

mod check;

pub use appspec::{AppSpec, EVENTS, Hook, Mapping, Reading, Remark, SHELL_CHARACTERS, Script};
pub use check::{Code, Error, Finding, Place, Report, Severity, check};
pub use permission::Permission;
pub use plan::{Command, Disk, Plan, Revision, clean};
pub use value::Value;
