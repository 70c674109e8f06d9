//! What an AWS error means: its kind by the one table of codes, and the operator's message.

mod table;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error as StdError;
use std::fmt::Display;
use tagship::{Error, Kind};

/// Characters of AWS's own words that a message carries; EC2's encoded authorisation failures are the longest.
const WORDS_MAX: usize = 1_500;

/// Turns an SDK call's failure into an [`Error`].
pub(crate) trait Called<T> {
    /// `action` as IAM names it (`ec2:RunInstances`), `resource` as the operator knows it.
    fn called(self, action: &str, resource: impl Display) -> Result<T, Error>;
}

impl<T, E> Called<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    fn called(self, action: &str, resource: impl Display) -> Result<T, Error> {
        self.map_err(|error| {
            let answer = match &error {
                SdkError::ServiceError(service) => Answer {
                    status: service.raw().status().as_u16(),
                    code: service.err().code(),
                    words: service.err().message(),
                    request: service.err().meta().extra("aws_request_id").or_else(|| request_id(service.raw())),
                },
                // The SDK couldn't even make the request of what it was given.
                SdkError::ConstructionFailure(_) => {
                    return Error::new(Kind::Bug, format!("{action} on {resource}: {}", words(&error)));
                }
                SdkError::ResponseError(response) if response.raw().status().is_client_error() => Answer {
                    status: response.raw().status().as_u16(),
                    code: None,
                    words: None,
                    request: request_id(response.raw()),
                },
                _ => {
                    let message = format!("{action} on {resource} got no answer: {}", words(&error));
                    return Error::new(Kind::Unavailable, message);
                }
            };
            answer.error(action, &resource.to_string())
        })
    }
}

fn words(error: &(dyn StdError + 'static)) -> String {
    DisplayErrorContext(error).to_string().chars().take(WORDS_MAX).collect()
}

fn request_id(response: &HttpResponse) -> Option<&str> {
    ["x-amzn-requestid", "x-amz-request-id"].into_iter().find_map(|name| response.headers().get(name))
}

/// The error for what AWS refused inside an answer of its own: an entry of an accepted call, the reason of an instance
/// that died.
pub(crate) fn refused(action: &str, resource: &str, code: Option<&str>, words: Option<&str>) -> Error {
    Answer { status: 400, code, words, request: None }.error(action, resource)
}

/// What AWS answered.
struct Answer<'a> {
    status: u16,
    code: Option<&'a str>,
    words: Option<&'a str>,
    request: Option<&'a str>,
}

impl Answer<'_> {
    fn error(self, action: &str, resource: &str) -> Error {
        let meaning = table::meaning(action, self.code.unwrap_or_default(), self.words.unwrap_or_default());
        let kind = meaning.map_or_else(|| self.unknown(), |meaning| meaning.kind);
        let code = self.code.map_or_else(|| format!("HTTP {}", self.status), str::to_owned);
        let words: String = self.words.unwrap_or("AWS gave no reason").chars().take(WORDS_MAX).collect();
        let request = self.request.map(|id| format!(" (request {id})")).unwrap_or_default();
        let mut message = format!("{action} on {resource}: {code}: {words}{request}");
        let (setting, remedy) = meaning.map_or((None, None), |meaning| (meaning.setting, meaning.remedy));
        match (kind, setting, remedy) {
            (_, _, Some(remedy)) => message.push_str(&format!(". {remedy}")),
            (_, Some(key), None) => message.push_str(&format!(". Correct {key} in the service's settings")),
            (Kind::Denied, ..) => {
                message.push_str(&format!(". Allow {action} on {resource} in the function's role (infra/)"));
            }
            _ => {}
        }
        Error { code: self.code.map(str::to_owned), ..Error::new(kind, message) }
    }

    /// What a code that the table doesn't have can mean.
    fn unknown(&self) -> Kind {
        match self.status {
            401 | 403 => Kind::Denied,
            404 | 409 | 412 => Kind::Conflict,
            429 => Kind::Throttled,
            408 | 500.. => Kind::Unavailable,
            _ => Kind::Refused,
        }
    }
}

/// A member that the API always sends, but the SDK's types don't promise.
pub(crate) fn required<T>(member: Option<T>, action: &str, name: &str) -> Result<T, Error> {
    member.ok_or_else(|| Error::new(Kind::Unavailable, format!("{action} answered without {name}")))
}
