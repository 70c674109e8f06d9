//! What an AWS error means: one table from its code to a kind, and the operator's message.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error as StdError;
use std::fmt::Display;
use tagship::{Error, Kind};

/// Characters of AWS's own words that a message carries; EC2's encoded authorisation failures are the longest.
const WORDS_MAX: usize = 1_500;

/// Error codes (a `*` at the end matches any rest), what they mean, and the setting to correct. The first that
/// matches decides, before the HTTP status does: EC2 says a lack of capacity with status 500.
const CODES: &[(&str, Kind, Option<&str>)] = &[
    // Capacity: another type or subnet may have it.
    ("InsufficientInstanceCapacity", Kind::Capacity, None),
    ("InsufficientHostCapacity", Kind::Capacity, None),
    ("InsufficientReservedInstanceCapacity", Kind::Capacity, None),
    ("InsufficientCapacity*", Kind::Capacity, None),
    ("InsufficientAddressCapacity", Kind::Capacity, None),
    ("InsufficientVolumeCapacity", Kind::Capacity, None),
    ("InsufficientFreeAddressesInSubnet", Kind::Capacity, None),
    ("AddressLimitExceeded", Kind::Capacity, None),
    ("VcpuLimitExceeded", Kind::Capacity, None),
    ("InstanceLimitExceeded", Kind::Capacity, None),
    ("MaxSpotInstanceCountExceeded", Kind::Capacity, None),
    ("UnfulfillableCapacity", Kind::Capacity, None),
    ("Unsupported", Kind::Capacity, None),
    // Somebody was quicker, or a describe lags: look again.
    ("PreconditionFailed", Kind::Conflict, None),
    ("ConditionalRequestConflict", Kind::Conflict, None),
    ("NoSuchKey", Kind::Conflict, None),
    ("IdempotentParameterMismatch", Kind::Conflict, None),
    ("InvalidInstanceID.NotFound", Kind::Conflict, None),
    // The instance isn't in a state for this: pending, or on its way out.
    ("InvalidInstanceID", Kind::Conflict, None),
    ("IncorrectInstanceState", Kind::Conflict, None),
    ("IncorrectState", Kind::Conflict, None),
    ("Resource.AlreadyAssociated", Kind::Conflict, None),
    ("InvalidIPAddress.InUse", Kind::Conflict, None),
    ("InvalidAssociationID.NotFound", Kind::Conflict, None),
    ("InvalidAllocationID.NotFound", Kind::Conflict, None),
    ("InvalidTarget", Kind::Conflict, None),
    ("RuleNotFound", Kind::Conflict, None),
    ("ListenerNotFound", Kind::Conflict, None),
    ("TargetGroupNotFound", Kind::Conflict, None),
    ("DeploymentLimitExceededException", Kind::Conflict, None),
    ("DeploymentAlreadyCompletedException", Kind::Conflict, None),
    ("DeploymentDoesNotExistException", Kind::Conflict, None),
    ("DeploymentNotStartedException", Kind::Conflict, None),
    // Unavailable: the same call succeeds later.
    ("RequestLimitExceeded", Kind::Unavailable, None),
    ("Throttl*", Kind::Unavailable, None),
    ("EC2ThrottledException", Kind::Unavailable, None),
    ("RequestThrottled*", Kind::Unavailable, None),
    ("TooManyRequests*", Kind::Unavailable, None),
    ("LimitExceededException", Kind::Unavailable, None),
    ("ConcurrentModification*", Kind::Unavailable, None),
    ("PriorRequestNotComplete", Kind::Unavailable, None),
    ("SlowDown", Kind::Unavailable, None),
    ("RequestTimeout*", Kind::Unavailable, None),
    ("RequestExpired", Kind::Unavailable, None),
    ("ServiceUnavailable*", Kind::Unavailable, None),
    ("Unavailable", Kind::Unavailable, None),
    ("Internal*", Kind::Unavailable, None),
    // Denied.
    ("AccessDenied*", Kind::Denied, None),
    ("KMS.AccessDenied*", Kind::Denied, None),
    ("UnauthorizedOperation", Kind::Denied, None),
    ("AuthorizationError*", Kind::Denied, None),
    ("AuthFailure", Kind::Denied, None),
    ("NotAuthorized*", Kind::Denied, None),
    ("OptInRequired", Kind::Denied, None),
    ("OperationNotPermitted", Kind::Denied, None),
    ("InvalidClientTokenId", Kind::Denied, None),
    ("UnrecognizedClient*", Kind::Denied, None),
    ("SignatureDoesNotMatch", Kind::Denied, None),
    ("ExpiredToken*", Kind::Denied, None),
    ("InvalidToken", Kind::Denied, None),
    // Settings to correct.
    ("InvalidAMIID.*", Kind::Configuration, Some("AMI")),
    ("InvalidKeyPair.*", Kind::Configuration, Some("KEY_NAME")),
    ("InvalidSubnetID.*", Kind::Configuration, Some("SUBNET")),
    ("InvalidSubnet.*", Kind::Configuration, Some("SUBNET")),
    ("InvalidGroup.*", Kind::Configuration, Some("SG")),
    ("InvalidGroupId.*", Kind::Configuration, Some("SG")),
    ("InvalidSecurityGroupID.*", Kind::Configuration, Some("SG")),
    ("InvalidIamInstanceProfile*", Kind::Configuration, Some("INSTANCE_PROFILE")),
    ("InvalidUserData.*", Kind::Configuration, Some("USER_DATA")),
    ("InvalidBlockDeviceMapping", Kind::Configuration, Some("VOLUME")),
    ("InvalidTag*", Kind::Configuration, Some("TAGS")),
    ("TagPolicyViolation", Kind::Configuration, Some("TAGS")),
    ("TagLimitExceeded", Kind::Configuration, Some("TAGS")),
    ("ApplicationDoesNotExistException", Kind::Configuration, Some("DEPLOY")),
    ("InvalidApplicationName*", Kind::Configuration, Some("DEPLOY")),
    ("DeploymentGroupDoesNotExistException", Kind::Configuration, Some("DEPLOY")),
    ("InvalidDeploymentGroupName*", Kind::Configuration, Some("DEPLOY")),
    ("InvalidComputePlatform*", Kind::Configuration, Some("DEPLOY")),
    ("NoSuchHostedZone", Kind::Configuration, Some("ZONE")),
    ("ParameterNotFound", Kind::Configuration, None),
    ("NoSuchBucket", Kind::Configuration, None),
    ("InvalidParameter*", Kind::Configuration, None),
    ("InvalidInput*", Kind::Configuration, None),
];

/// Words in EC2's message that tell which parameter an `InvalidParameterValue` means.
const PARAMETERS: &[(&str, &str)] = &[
    ("iaminstanceprofile", "INSTANCE_PROFILE"),
    ("instance profile", "INSTANCE_PROFILE"),
    ("instancetype", "INSTANCE_TYPE"),
    ("instance type", "INSTANCE_TYPE"),
    ("user data", "USER_DATA"),
    ("volume", "VOLUME"),
    ("snapshot", "VOLUME"),
];

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

/// What AWS answered.
struct Answer<'a> {
    status: u16,
    code: Option<&'a str>,
    words: Option<&'a str>,
    request: Option<&'a str>,
}

impl Answer<'_> {
    fn error(self, action: &str, resource: &str) -> Error {
        let (kind, key) = self.classify();
        let code = self.code.map_or_else(|| format!("HTTP {}", self.status), str::to_owned);
        let words: String = self.words.unwrap_or("AWS gave no reason").chars().take(WORDS_MAX).collect();
        let request = self.request.map(|id| format!(" (request {id})")).unwrap_or_default();
        let mut message = format!("{action} on {resource}: {code}: {words}{request}");
        match (kind, key) {
            (Kind::Denied, _) => {
                message.push_str(&format!(". Allow {action} on {resource} in the function's role (infra/)"));
            }
            (Kind::Configuration, Some(key)) => message.push_str(&format!(". Correct {key} in the service's settings")),
            _ => {}
        }
        Error { code: self.code.map(str::to_owned), ..Error::new(kind, message) }
    }

    fn classify(&self) -> (Kind, Option<&'static str>) {
        let code = self.code.unwrap_or_default();
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => code.starts_with(beginning),
            None => code == pattern,
        };
        if let Some((_, kind, key)) = CODES.iter().find(|(pattern, ..)| matches(pattern)) {
            let key = key.or_else(|| if *kind == Kind::Configuration { self.parameter() } else { None });
            return (*kind, key);
        }
        let kind = match self.status {
            401 | 403 => Kind::Denied,
            404 | 409 | 412 => Kind::Conflict,
            429 | 500.. => Kind::Unavailable,
            _ => Kind::Release,
        };
        (kind, None)
    }

    fn parameter(&self) -> Option<&'static str> {
        let words = self.words?.to_ascii_lowercase();
        PARAMETERS.iter().find(|(said, _)| words.contains(said)).map(|(_, key)| *key)
    }
}

/// A member that the API always sends, but the SDK's types don't promise.
pub(crate) fn required<T>(member: Option<T>, action: &str, name: &str) -> Result<T, Error> {
    member.ok_or_else(|| Error::new(Kind::Unavailable, format!("{action} answered without {name}")))
}
