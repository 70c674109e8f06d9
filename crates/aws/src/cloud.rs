//! What lasts as long as the process: the environment as it was at start-up, and the SDK clients.

use crate::metrics::Tally;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
#[cfg(feature = "account")]
use aws_config::{profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig};
#[cfg(feature = "account")]
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// How long one read may take, its repetitions included.
const READ: Duration = Duration::from_secs(60);
/// How long one attempt of a read may take.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Attempts of one read; with the SDK's back-off they fit into [`READ`].
const ATTEMPTS: u32 = 6;
/// How long a changing call may take; it is never repeated (docs/RULES.md#time-limits).
pub(crate) const CHANGE: Duration = Duration::from_secs(10);
/// How long a function that a person invokes may take: Lambda's own limit.
const INVOKE: Duration = Duration::from_secs(900);
/// How long reading the hold just before a change may take.
pub(crate) const BOUND: Duration = Duration::from_secs(4);

/// The process's side of AWS. Clients are built when first used: a cold start loads no certificates for them.
pub struct Cloud {
    /// tagship's own bucket; empty if nobody said it, which an invocation then fails with.
    pub(crate) bucket: String,
    /// The Region's name; empty if nobody said it.
    pub(crate) region: String,
    /// What the names of parameters begin with that hold the settings of services without a variable; `None` if there are
    /// none.
    pub(crate) settings: Option<String>,
    /// How long the balancer's figures in CloudWatch are for, in seconds.
    pub(crate) minute_secs: u32,
    /// The environment at start-up, without AWS's own variables: the settings among them. May hold secrets.
    pub(crate) variables: BTreeMap<String, String>,
    reads: SdkConfig,
    changes: SdkConfig,
    bound: SdkConfig,
    invokes: SdkConfig,
    /// The calls of all clients.
    pub(crate) tally: Tally,
    clients: Clients,
}

impl Cloud {
    /// Reads the environment, once.
    pub async fn from_env() -> Self {
        let access = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new());
        Self::new(std::env::vars().filter(|(name, _)| !name.starts_with("AWS_")).collect(), access).await
    }

    /// With these variables and this access to AWS.
    pub async fn new(variables: BTreeMap<String, String>, access: ConfigLoader) -> Self {
        Self::of(variables, &loaded(access).await)
    }

    /// With these variables and this access.
    pub(crate) fn of(mut variables: BTreeMap<String, String>, base: &SdkConfig) -> Self {
        let bucket = variables.remove("TAGSHIP_BUCKET").unwrap_or_default();
        let settings = variables.remove("TAGSHIP_SETTINGS");
        // Said where a balancer doesn't publish by the minute: AWS's own always does.
        let minute = variables.remove("TAGSHIP_MINUTE");
        // Connect and read time-outs are the same everywhere: clients share connections by them.
        let timeouts = || TimeoutConfig::builder().connect_timeout(Duration::from_secs(3)).read_timeout(ATTEMPT);
        let manner = |timeouts, retries| {
            let mut config = base.to_builder();
            config.set_timeout_config(Some(timeouts));
            config.set_retry_config(Some(retries));
            config.build()
        };
        Self {
            bucket,
            settings,
            minute_secs: minute.and_then(|secs| secs.parse().ok()).filter(|secs| *secs > 0).unwrap_or(60),
            region: base.region().map(ToString::to_string).unwrap_or_default(),
            variables,
            reads: manner(
                timeouts().operation_timeout(READ).operation_attempt_timeout(ATTEMPT).build(),
                // Not adaptive: after one throttled call its bucket fills with half a token a second, a repetition
                // costs five, and so a rollback would wait for minutes (measured: tests' throttling).
                RetryConfig::standard().with_max_attempts(ATTEMPTS),
            ),
            changes: manner(timeouts().operation_timeout(CHANGE).build(), RetryConfig::disabled()),
            bound: manner(timeouts().operation_timeout(BOUND).build(), RetryConfig::disabled()),
            invokes: manner(
                TimeoutConfig::builder().connect_timeout(Duration::from_secs(3)).operation_timeout(INVOKE).build(),
                RetryConfig::disabled(),
            ),
            tally: Tally::default(),
            clients: Clients::default(),
        }
    }
}

/// The access to AWS, over the one HTTP stack that is linked.
pub(crate) async fn loaded(access: ConfigLoader) -> SdkConfig {
    access.http_client(http()).load().await
}

/// The same as a profile of the AWS configuration says, whatever keys the environment has: who names one means it.
#[cfg(feature = "account")]
pub(crate) async fn of_profile(access: ConfigLoader, profile: &str) -> SdkConfig {
    let base = loaded(access.profile_name(profile)).await;
    let config = ProviderConfig::default().with_http_client(http()).with_region(base.region().cloned());
    let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile).build();
    base.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// Each client, once it is used: one for reads, one for changes.
#[derive(Default)]
struct Clients {
    s3: OnceLock<aws_sdk_s3::Client>,
    s3_changes: OnceLock<aws_sdk_s3::Client>,
    s3_bound: OnceLock<aws_sdk_s3::Client>,
    ec2: OnceLock<aws_sdk_ec2::Client>,
    ec2_changes: OnceLock<aws_sdk_ec2::Client>,
    elb: OnceLock<aws_sdk_elasticloadbalancingv2::Client>,
    elb_changes: OnceLock<aws_sdk_elasticloadbalancingv2::Client>,
    elb_bound: OnceLock<aws_sdk_elasticloadbalancingv2::Client>,
    tagging: OnceLock<aws_sdk_resourcegroupstagging::Client>,
    route53: OnceLock<aws_sdk_route53::Client>,
    route53_changes: OnceLock<aws_sdk_route53::Client>,
    codedeploy: OnceLock<aws_sdk_codedeploy::Client>,
    codedeploy_changes: OnceLock<aws_sdk_codedeploy::Client>,
    codepipeline: OnceLock<aws_sdk_codepipeline::Client>,
    codepipeline_changes: OnceLock<aws_sdk_codepipeline::Client>,
    cloudwatch: OnceLock<aws_sdk_cloudwatch::Client>,
    lambda: OnceLock<aws_sdk_lambda::Client>,
    lambda_changes: OnceLock<aws_sdk_lambda::Client>,
    lambda_invokes: OnceLock<aws_sdk_lambda::Client>,
    #[cfg(feature = "account")]
    logs: OnceLock<aws_sdk_cloudwatchlogs::Client>,
    ssm: OnceLock<aws_sdk_ssm::Client>,
    ssm_changes: OnceLock<aws_sdk_ssm::Client>,
    #[cfg(feature = "account")]
    iam: OnceLock<aws_sdk_iam::Client>,
    #[cfg(feature = "account")]
    quotas: OnceLock<aws_sdk_servicequotas::Client>,
    events: OnceLock<aws_sdk_eventbridge::Client>,
    events_changes: OnceLock<aws_sdk_eventbridge::Client>,
    #[cfg(feature = "account")]
    sns: OnceLock<aws_sdk_sns::Client>,
    sns_changes: OnceLock<aws_sdk_sns::Client>,
}

/// `name: service from manner`: the accessor of a client.
macro_rules! clients {
    ($($(#[$gate:meta])? $name:ident: $sdk:ident from $manner:ident;)*) => {
        impl Cloud {
            $($(#[$gate])? pub(crate) fn $name(&self) -> &$sdk::Client {
                self.clients.$name.get_or_init(|| {
                    let config = $sdk::config::Builder::from(&self.$manner).interceptor(self.tally.clone());
                    $sdk::Client::from_conf(config.build())
                })
            })*
        }
    };
}

clients! {
    s3: aws_sdk_s3 from reads;
    s3_changes: aws_sdk_s3 from changes;
    s3_bound: aws_sdk_s3 from bound;
    ec2: aws_sdk_ec2 from reads;
    ec2_changes: aws_sdk_ec2 from changes;
    elb: aws_sdk_elasticloadbalancingv2 from reads;
    elb_changes: aws_sdk_elasticloadbalancingv2 from changes;
    tagging: aws_sdk_resourcegroupstagging from reads;
    route53: aws_sdk_route53 from reads;
    route53_changes: aws_sdk_route53 from changes;
    elb_bound: aws_sdk_elasticloadbalancingv2 from bound;
    codedeploy: aws_sdk_codedeploy from reads;
    codedeploy_changes: aws_sdk_codedeploy from changes;
    codepipeline: aws_sdk_codepipeline from reads;
    codepipeline_changes: aws_sdk_codepipeline from changes;
    cloudwatch: aws_sdk_cloudwatch from reads;
    lambda: aws_sdk_lambda from reads;
    lambda_changes: aws_sdk_lambda from changes;
    lambda_invokes: aws_sdk_lambda from invokes;
    #[cfg(feature = "account")] logs: aws_sdk_cloudwatchlogs from reads;
    ssm: aws_sdk_ssm from reads;
    ssm_changes: aws_sdk_ssm from changes;
    #[cfg(feature = "account")] iam: aws_sdk_iam from reads;
    #[cfg(feature = "account")] quotas: aws_sdk_servicequotas from reads;
    events: aws_sdk_eventbridge from reads;
    events_changes: aws_sdk_eventbridge from changes;
    #[cfg(feature = "account")] sns: aws_sdk_sns from reads;
    sns_changes: aws_sdk_sns from changes;
}

/// AWS's time as ours; the epoch if it is out of range.
pub(crate) fn timestamp(at: &aws_smithy_types::DateTime) -> Timestamp {
    SystemTime::try_from(*at).ok().and_then(|at| Timestamp::try_from(at).ok()).unwrap_or_default()
}
