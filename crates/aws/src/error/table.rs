//! The one table of AWS's error codes: what each means, and what a person has to do about it.

use tagship::Kind;
use tagship::Kind::{
    Bug, Capacity, Configuration, Conflict, Denied, Protected, Refused, Spent, Throttled, Unavailable,
};

/// A line of the table. What is left open matches anything.
pub(super) struct Meaning {
    /// AWS's code; a `*` at its end matches any rest. EC2's `Client.` and `Server.` before a code may be left out.
    code: &'static str,
    /// Only as the answer to this operation.
    action: Option<&'static str>,
    /// Only if AWS's message has one of these words, in lower case.
    said: &'static [&'static str],
    /// What can be done.
    pub(super) kind: Kind,
    /// The setting to correct.
    pub(super) setting: Option<&'static str>,
    /// What a person has to do.
    pub(super) remedy: Option<&'static str>,
}

const fn code(code: &'static str, kind: Kind) -> Meaning {
    Meaning { code, action: None, said: &[], kind, setting: None, remedy: None }
}

impl Meaning {
    const fn to(self, action: &'static str) -> Self {
        Self { action: Some(action), ..self }
    }

    const fn saying(self, said: &'static [&'static str]) -> Self {
        Self { said, ..self }
    }

    const fn setting(self, setting: &'static str) -> Self {
        Self { setting: Some(setting), ..self }
    }

    const fn remedy(self, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    fn covers(&self, action: &str, code: &str, words: &str) -> bool {
        let matches = |code: &str| match self.code.strip_suffix('*') {
            Some(beginning) => code.starts_with(beginning),
            None => code == self.code,
        };
        let bare = code.strip_prefix("Client.").or_else(|| code.strip_prefix("Server."));
        (matches(code) || bare.is_some_and(matches))
            && self.action.is_none_or(|only| only == action)
            && (self.said.is_empty() || self.said.iter().any(|said| words.contains(said)))
    }
}

/// What the table says of AWS's answer to an operation: the first line that covers it. The HTTP status has no say
/// here: EC2 tells a lack of capacity with status 500.
pub(super) fn meaning(action: &str, code: &str, words: &str) -> Option<&'static Meaning> {
    let words = words.to_ascii_lowercase();
    TABLE.iter().find(|meaning| meaning.covers(action, code, &words))
}

const RUN: &str = "ec2:RunInstances";
const REGISTER: &str = "elasticloadbalancing:RegisterTargets";

/// A rule of several groups, of which one has stickiness of its own.
const STICKY: &str = "Turn off stickiness in the attributes of both target groups (stickiness.enabled=false), then turn off \
                      the rule's: AWS refuses to turn off only the rule's. The action then goes on when it is repeated";

/// In each group, what is special comes before what is general.
static TABLE: &[Meaning] = &[
    // Too many requests, whoever made them: nothing is wrong. These include all that the SDK calls so.
    code("RequestLimitExceeded", Throttled),
    code("Throttl*", Throttled),
    code("EC2Throttled*", Throttled),
    code("KMSThrottl*", Throttled),
    code("KMS.Throttl*", Throttled),
    code("RequestThrottled*", Throttled),
    code("TooManyRequests*", Throttled),
    code("LimitExceededException", Throttled),
    code("BandwidthLimitExceeded", Throttled),
    code("ProvisionedThroughputExceeded*", Throttled),
    code("TransactionInProgress*", Throttled),
    code("PriorRequestNotComplete", Throttled),
    code("SlowDown", Throttled),
    // A launch that was accepted and died says so later, as its instance's reason.
    code("Client.InternalError", Denied).to(RUN).remedy(
        "Most often the function's role may not use the KMS key of the image's or the account's encrypted volumes: \
         allow it kms:CreateGrant, kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext on that key",
    ),
    // No capacity: another type or subnet may have it.
    code("InsufficientInstanceCapacity", Capacity),
    code("InsufficientHostCapacity", Capacity),
    code("InsufficientReservedInstanceCapacity", Capacity),
    code("InsufficientCapacity*", Capacity),
    code("InsufficientAddressCapacity", Capacity),
    code("InsufficientVolumeCapacity", Capacity),
    code("InsufficientFreeAddressesInSubnet", Capacity),
    code("AddressLimitExceeded", Capacity),
    code("VcpuLimitExceeded", Capacity),
    code("InstanceLimitExceeded", Capacity),
    code("VolumeLimitExceeded", Capacity),
    code("MaxIOPSLimitExceeded", Capacity),
    code("NetworkInterfaceLimitExceeded", Capacity),
    code("MaxSpotInstanceCountExceeded", Capacity),
    code("UnfulfillableCapacity", Capacity),
    code("ReservationCapacityExceeded", Capacity),
    code("Unsupported", Capacity).to(RUN),
    // The client token is used up.
    code("IdempotentInstanceTerminated", Spent),
    // A person's hand protects it.
    code("OperationNotPermitted", Protected).to("ec2:TerminateInstances").remedy(
        "An instance is protected against termination: switch that off (aws ec2 modify-instance-attribute \
         --no-disable-api-termination --instance-id …) and repeat the action, or keep the instance and remove its \
         tag tagship:service",
    ),
    code("OperationNotPermitted", Protected).to("ec2:StopInstances").remedy(
        "An instance is protected against stopping: switch that off (aws ec2 modify-instance-attribute \
         --no-disable-api-stop --instance-id …) and repeat the action, or keep the instance and remove its tag \
         tagship:service",
    ),
    // Somebody was quicker, or a describe lags: look again.
    code("PreconditionFailed", Conflict),
    code("ConditionalRequestConflict", Conflict),
    code("NoSuchKey", Conflict),
    code("IdempotentParameterMismatch", Conflict),
    code("InvalidInstanceID.NotFound", Conflict),
    // The instance isn't in a state for this: pending, or on its way out.
    code("InvalidInstanceID", Conflict),
    code("IncorrectInstanceState", Conflict),
    code("IncorrectState", Conflict),
    code("Resource.AlreadyAssociated", Conflict),
    code("InvalidIPAddress.InUse", Conflict),
    code("InvalidAssociationID.NotFound", Conflict),
    code("InvalidAllocationID.NotFound", Conflict),
    code("InvalidTarget", Configuration).to(REGISTER).saying(&["vpc"]).remedy(
        "The instances and the target groups must be in one VPC: correct SUBNET, or TARGET_GROUP, in the service's \
         settings",
    ),
    // Not running yet, or not any more.
    code("InvalidTarget", Conflict),
    code("RuleNotFound", Conflict),
    code("ListenerNotFound", Conflict),
    code("TargetGroupNotFound", Conflict),
    code("DeploymentLimitExceededException", Conflict),
    code("DeploymentAlreadyCompletedException", Conflict),
    code("DeploymentDoesNotExistException", Conflict),
    code("DeploymentNotStartedException", Conflict),
    // Route 53 tells all that is wrong with a batch of changes by this one code.
    code("InvalidChangeBatch", Refused).saying(&["conflicting", "with the same name"]).remedy(
        "A record of another kind, which tagship didn't make, has this name: delete it, or choose another ZONE in \
         the service's settings",
    ),
    code("InvalidChangeBatch", Conflict).saying(&["not found", "do not match", "already exists"]),
    code("InvalidChangeBatch", Configuration).saying(&["not permitted in zone"]).setting("ZONE"),
    code("InvalidChangeBatch", Bug),
    // Unavailable: the same call succeeds later.
    code("ConcurrentModification*", Unavailable),
    code("RequestTimeout*", Unavailable),
    code("RequestExpired", Unavailable),
    code("ServiceUnavailable*", Unavailable),
    code("Unavailable", Unavailable),
    code("Internal*", Unavailable),
    // The image isn't to be had. EC2 says this of images with the code of a credential that isn't valid.
    code("AuthFailure", Configuration).to(RUN).saying(&["image"]).remedy(
        "The image isn't shared with this account, or isn't there any more: have its owner share it, or correct AMI \
         in the service's settings",
    ),
    code("OptInRequired", Configuration).to(RUN).saying(&["marketplace"]).remedy(
        "The image is a product of AWS Marketplace: subscribe to it from this account at the address above, or \
         correct AMI in the service's settings",
    ),
    code("InvalidLoadBalancerAction", Refused).saying(&["stickiness"]).remedy(STICKY),
    code("InvalidConfigurationRequest", Refused).saying(&["stickiness"]).remedy(STICKY),
    code("OptInRequired", Refused).remedy(
        "The account isn't signed up for this service or Region: have its owner activate it, no permission is missing",
    ),
    code("PendingVerification", Refused)
        .remedy("AWS is still verifying this account for the Region: wait for AWS's mail (up to 4 hours), then retry"),
    code("Blocked", Refused).remedy("AWS has blocked this account: have its owner write to AWS Support"),
    // Denied.
    code("AccessDenied*", Denied),
    code("KMS.AccessDenied*", Denied),
    code("UnauthorizedOperation", Denied),
    code("AuthorizationError*", Denied),
    code("AuthFailure", Denied),
    code("NotAuthorized*", Denied),
    code("InvalidClientTokenId", Denied),
    code("UnrecognizedClient*", Denied),
    code("SignatureDoesNotMatch", Denied),
    code("ExpiredToken*", Denied),
    code("InvalidToken", Denied),
    // Settings to correct.
    code("InvalidAMIID.*", Configuration).setting("AMI"),
    code("InvalidSnapshot.*", Configuration).to(RUN).setting("AMI"),
    code("InvalidKeyPair.*", Configuration).setting("KEY_NAME"),
    code("InvalidSubnetID.*", Configuration).setting("SUBNET"),
    code("InvalidSubnet.*", Configuration).setting("SUBNET"),
    code("InvalidGroup.*", Configuration).setting("SG"),
    code("InvalidGroupId.*", Configuration).setting("SG"),
    code("InvalidSecurityGroupID.*", Configuration).setting("SG"),
    code("InvalidIamInstanceProfile*", Configuration).setting("INSTANCE_PROFILE"),
    code("InvalidUserData.*", Configuration).setting("USER_DATA"),
    code("InvalidBlockDeviceMapping", Configuration).setting("VOLUME"),
    code("InvalidTag*", Configuration).setting("TAGS"),
    code("TagPolicyViolation", Configuration).setting("TAGS"),
    code("TagLimitExceeded", Configuration).setting("TAGS"),
    code("TooManyTargets", Configuration)
        .remedy("Ask AWS for more targets a group or balancer, or lower COUNT in the service's settings"),
    code("TooManyRegistrationsForTargetId", Configuration)
        .remedy("Ask AWS for more targets a group or balancer, or lower COUNT in the service's settings"),
    code("UnsupportedOperation", Configuration).to("ec2:StopInstances").remedy(
        "Such instances can't be stopped (an instance store has their root): write KEEP \"terminate\" in the \
         service's settings",
    ),
    code("ApplicationDoesNotExistException", Configuration).setting("DEPLOY"),
    code("InvalidApplicationName*", Configuration).setting("DEPLOY"),
    code("DeploymentGroupDoesNotExistException", Configuration).setting("DEPLOY"),
    code("InvalidDeploymentGroupName*", Configuration).setting("DEPLOY"),
    code("InvalidComputePlatform*", Configuration).setting("DEPLOY"),
    code("InvalidRole*", Configuration)
        .remedy("CodeDeploy may not act by the service role of the deployment group that DEPLOY names: mend that role"),
    code("NoSuchHostedZone", Configuration).setting("ZONE"),
    code("NotFound", Configuration).to("sns:Publish").setting("TOPIC"),
    code("ResourceNotFound*", Configuration).to("sns:ListTagsForResource").setting("TOPIC"),
    code("PipelineNotFoundException", Configuration).remedy(
        "Correct pipeline in the action's UserParameters: no pipeline of this Region and account has that name",
    ),
    code("ParameterNotFound", Configuration),
    code("InvalidKeyId", Configuration)
        .to("ssm:GetParameter")
        .remedy("The KMS key that encrypts the parameter is gone or disabled: enable it, or write the parameter anew"),
    code("NoSuchBucket", Configuration),
    code("PermanentRedirect", Configuration)
        .remedy("The bucket is in another Region: use one of the function's Region"),
    code("InvalidObjectState", Configuration)
        .remedy("The object is archived: restore it (aws s3api restore-object), or upload it again"),
    code("KMS.*", Configuration).remedy("The KMS key that encrypts the object is gone or disabled: enable it"),
    // What EC2 calls a parameter is told by its words only.
    code("InvalidParameter*", Configuration)
        .to(RUN)
        .saying(&["iaminstanceprofile", "instance profile"])
        .setting("INSTANCE_PROFILE"),
    code("InvalidParameter*", Configuration)
        .to(RUN)
        .saying(&["instancetype", "instance type"])
        .setting("INSTANCE_TYPE"),
    code("InvalidParameter*", Configuration).to(RUN).saying(&["user data"]).setting("USER_DATA"),
    code("InvalidParameter*", Configuration).to(RUN).saying(&["volume", "snapshot"]).setting("VOLUME"),
    code("InvalidParameter*", Configuration),
    code("InvalidInput*", Configuration),
];

#[cfg(test)]
mod tests {
    use super::*;
    use aws_runtime::retries::classifiers::THROTTLING_ERRORS;

    #[test]
    fn what_the_sdk_repeats_as_throttled_is_throttled_here() {
        for code in THROTTLING_ERRORS {
            assert_eq!(meaning("ec2:StopInstances", code, "").map(|meaning| meaning.kind), Some(Throttled), "{code}");
        }
    }

    #[test]
    fn a_batch_of_names_is_told_by_its_words() {
        for (words, kind) in [
            ("[Tried to delete resource record set [name='x.', type='A'] but it was not found]", Conflict),
            ("[Tried to delete … but the values provided do not match the current values]", Conflict),
            ("[Tried to create resource record set [name='x.', type='A'] but it already exists]", Conflict),
            (
                "[RRSet of type A with DNS name x. is not permitted because a conflicting RRSet of type CNAME with the \
                 same DNS name already exists in zone cd.internal.]",
                Refused,
            ),
            ("[RRSet with DNS name x.com. is not permitted in zone cd.internal.]", Configuration),
            ("[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address']", Bug),
        ] {
            let found = meaning("route53:ChangeResourceRecordSets", "InvalidChangeBatch", words);
            assert_eq!(found.map(|meaning| meaning.kind), Some(kind), "{words}");
        }
    }

    #[test]
    fn a_group_s_own_stickiness_is_told_from_other_mistakes_of_a_rule() {
        let said = |words| meaning("elasticloadbalancing:ModifyRule", "InvalidLoadBalancerAction", words);
        let sticky = said(
            "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups",
        );
        assert_eq!(sticky.map(|meaning| (meaning.kind, meaning.remedy)), Some((Refused, Some(STICKY))));
        assert!(said("A target group ARN must be specified").is_none_or(|meaning| meaning.remedy != Some(STICKY)));
    }

    /// A line that an earlier one covers would never be read.
    #[test]
    fn every_line_can_decide() {
        for (n, line) in TABLE.iter().enumerate() {
            let (code, action) = (line.code.trim_end_matches('*'), line.action.unwrap_or("any:Operation"));
            let decides = |words: &str| meaning(action, code, words).is_some_and(|found| std::ptr::eq(found, line));
            let decided = if line.said.is_empty() { decides("") } else { line.said.iter().all(|words| decides(words)) };
            assert!(decided, "line {n}, {}, is never reached", line.code);
        }
    }
}
