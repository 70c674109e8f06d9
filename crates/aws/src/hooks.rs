//! Hooks: a release's functions, called beside the loop; and tried before anything is launched.

use crate::Cloud;
use crate::error::Called as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tagship::settings::Settings;
use tagship::{Called, Error, HookAnswer, HookCall, Kind};
use tokio::task::JoinHandle;
use tracing::{Instrument, Span, info};

const INVOKE: &str = "lambda:InvokeFunction";
/// What Lambda answers where there is no such function, or no such alias.
const NO_FUNCTION: &str = "ResourceNotFoundException";
/// How long a hook has for an answer: one that takes longer answers IN_PROGRESS.
const CALL: Duration = Duration::from_secs(60);

/// The call that an invocation has made last. It runs beside the loop, and isn't waited for any more once the invocation
/// ends.
#[derive(Default)]
pub(crate) struct Calls {
    made: Arc<Mutex<Option<Called>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Calls {
    /// What is known of it.
    pub(crate) fn made(&self) -> Option<Called> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call; one that was made before isn't waited for any more.
    pub(crate) fn make(&self, cloud: &Cloud, call: &HookCall) -> Result<(), Error> {
        let payload = serde_json::to_vec(&call.told)
            .map_err(|error| Error::new(Kind::Bug, format!("tagship: what a hook is told is no JSON: {error}")))?;
        let request = cloud.lambda_invokes().invoke().function_name(&call.function).payload(Blob::new(payload));
        let (made, id, function) = (Arc::clone(&self.made), call.id, call.function.clone());
        *made.lock().unwrap_or_else(PoisonError::into_inner) = Some(Called { id, answer: None });
        let task = async move {
            let answer = match tokio::time::timeout(CALL, request.send()).await {
                Ok(sent) => answer(sent.called(INVOKE, &function)),
                Err(_) => HookAnswer::Failed(format!("it gave no answer within {} s", CALL.as_secs())),
            };
            info!(hook = function, answer = told(&answer), "a hook was called");
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(called) = made.as_mut().filter(|called| called.id == id) {
                called.answer = Some(answer);
            }
        };
        let task = tokio::spawn(task.instrument(Span::current()));
        let before = self.task.lock().unwrap_or_else(PoisonError::into_inner).replace(task);
        if let Some(before) = before {
            before.abort();
        }
        Ok(())
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

fn answer(sent: Result<aws_sdk_lambda::operation::invoke::InvokeOutput, Error>) -> HookAnswer {
    match sent {
        Ok(sent) => {
            let payload = sent.payload.unwrap_or_else(|| Blob::new([])).into_inner();
            match sent.function_error {
                Some(_) => HookAnswer::crashed(&payload),
                None => HookAnswer::read(&payload),
            }
        }
        Err(error) if error.kind.passes() && error.code.as_deref() != Some(NO_FUNCTION) => {
            HookAnswer::Unheard(error.message)
        }
        Err(error) => HookAnswer::Failed(error.message),
    }
}

/// For the log: without the details, which are the hook's own.
fn told(answer: &HookAnswer) -> &str {
    match answer {
        HookAnswer::Succeeded => "SUCCEEDED",
        HookAnswer::InProgress { .. } => "IN_PROGRESS",
        HookAnswer::Failed(why) | HookAnswer::Unheard(why) => why,
    }
}

/// Which functions of the settings' hooks can't be called, each with what to do. Nothing is run.
pub(crate) async fn lacking(cloud: &Cloud, settings: &Settings) -> Result<BTreeMap<String, String>, Error> {
    let functions: BTreeSet<&str> = settings.hooks.all().map(|hook| hook.function.as_str()).collect();
    let mut lacking = BTreeMap::new();
    for function in functions {
        let request = cloud.lambda().invoke().function_name(function).invocation_type(InvocationType::DryRun);
        let problem = match request.send().await.called(INVOKE, function) {
            Ok(_) => continue,
            Err(error) if error.code.as_deref() == Some(NO_FUNCTION) => {
                "doesn't exist in this Region: write the name or ARN of one that does".to_owned()
            }
            Err(error) if error.kind == Kind::Denied => format!(
                "may not be called, or isn't there: give it the tag tagship:service, in this account and Region ({})",
                error.message
            ),
            Err(error) if error.kind.passes() => return Err(error),
            Err(error) => format!("can't be called: {}", error.message),
        };
        lacking.insert(function.to_owned(), problem);
    }
    Ok(lacking)
}
