//! Least privilege at work: every call of a function is held against its role in infra/tagship.yaml, and refused as AWS
//! refuses it.

mod asks;

use std::collections::BTreeMap;

use hyper::StatusCode;
use tagship_emulator::policy::{Policy, Request};

use crate::call::Call;
use crate::moto;
use crate::service::Service;

/// The callers with a role, and what it takes to know what AWS would ask.
#[derive(Debug)]
pub struct Iam {
    /// The roles' policies by caller, e.g. `provision`. Whoever isn't named may do anything.
    pub policies: BTreeMap<String, Policy>,
    /// The account of the ARNs.
    pub account: String,
    /// The Region of the ARNs.
    pub region: String,
    /// The tags of Lambda functions, by name.
    pub functions: BTreeMap<String, BTreeMap<String, String>>,
    /// Knows the tags of what else a call is about, and the role in an instance profile.
    pub emulator: moto::Client,
}

/// A call that its caller's role doesn't allow, as AWS refuses it.
#[derive(Debug)]
pub(crate) struct Denied {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Iam {
    /// Whether this caller has a role.
    pub(crate) fn guards(&self, caller: &str) -> bool {
        self.policies.contains_key(caller)
    }

    /// What AWS asks before it carries out the call. `codedeploy` knows which group a deployment is of.
    pub(crate) async fn requests(&self, call: &Call, codedeploy: Option<&dyn Service>) -> Vec<Request> {
        asks::Asked { iam: self, call, codedeploy }.requests().await
    }

    /// What S3 asks when there is no such object: to whoever may not list the bucket it says "denied" instead.
    pub(crate) fn miss(&self, call: &Call, status: StatusCode) -> Option<Request> {
        let read = call.service == "s3" && matches!(call.operation.as_str(), "GetObject" | "HeadObject");
        let (bucket, _) = call.bucket_and_key().filter(|_| read && status == StatusCode::NOT_FOUND)?;
        Some(asks::in_bucket(&self.account, "s3:ListBucket", &bucket))
    }

    /// The refusal, if any of the requests is not allowed.
    pub(crate) fn denied(&self, call: &Call, requests: &[Request]) -> Option<Denied> {
        let policy = self.policies.get(&call.caller)?;
        let Request { action, resource, .. } = requests.iter().find(|request| !policy.allows(request))?;
        let (status, code) = match call.service.as_str() {
            "ec2" => (403, "UnauthorizedOperation"),
            "sns" => (403, "AuthorizationError"),
            _ if call.headers.contains_key("x-amz-target") => (400, "AccessDeniedException"),
            _ => (403, "AccessDenied"),
        };
        let message = format!(
            "User: arn:aws:sts::{}:assumed-role/tagship-{} is not authorized to perform: {action} on resource: {resource} \
             because no identity-based policy allows the {action} action",
            self.account, call.caller
        );
        tracing::warn!(message, "denied");
        Some(Denied { status, code, message })
    }
}
