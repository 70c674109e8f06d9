//! An account with one service, and a stage that may read and change everything.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tagship::engine::{Gate, Standing, admission};
use tagship::settings::{Ami, Choice, Settings};
use tagship::{
    Action, Changes, Decision, Done, Error, First, Held, Hold, Holding, Job, Launch, Look, Parts, Planner, Port,
    ReleaseId, ServiceRole, Situation, Step, World,
};
use tagship_aws::{Aws, Cloud};
use tagship_cloud::gateway::Gateway;
use tagship_cloud::moto::{Behaviour, InstancesBy, Moto, TargetsBy};
use tagship_cloud::setup::{self, ServicePlan, ServiceStack};

pub(crate) const ROLE: &str = "MZUM_WEB_PRODUCT";
pub(crate) const RELEASE: &str = "11111111-2222-3333-4444-555555555555";

/// Reads and changes everything, so decides nothing.
pub(crate) struct Everything;

impl Planner for Everything {
    const ACTION: Action = Action::Provision;
    const READS: Parts = Parts::ALL;
    const CHANGES: Changes = Changes::ALL;
    type Entry<'a> = &'a Held;
    type Memory = ();

    fn admit(standing: Standing<'_>) -> Gate<&Held> {
        admission::shift(standing)
    }

    fn decide<'a>(_: &Situation<'a>, _: &'a Held, (): &mut ()) -> First<Done> {
        ControlFlow::Break(Decision::wait("a test"))
    }
}

/// The emulator, the gateway, and the adapter over them.
pub(crate) struct Account {
    pub(crate) gateway: Gateway,
    pub(crate) cloud: Cloud,
    pub(crate) stack: ServiceStack,
    pub(crate) sdk: SdkConfig,
    pub(crate) subnets: Vec<String>,
    pub(crate) listener: String,
    _moto: Moto,
}

fn access(url: &str) -> aws_config::ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(setup::REGION))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("provision", "local", None, None, "test"))
}

/// The adapter alone, over any address.
pub(crate) async fn cloud(url: &str, variables: &[(&str, &str)]) -> Cloud {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Cloud::new(variables, access(url)).await
}

/// The emulator without a service.
pub(crate) async fn emulator() -> (Moto, Gateway) {
    let moto = Moto::start().await.unwrap_or_else(|error| panic!("{error}"));
    let gateway = Gateway::start(moto.address()).await.expect("a gateway");
    (moto, gateway)
}

impl Account {
    /// In which time alone moves instances and targets.
    pub(crate) async fn set_up() -> Self {
        let (moto, gateway) = emulator().await;
        let timer = Behaviour {
            instances: Some(InstancesBy::Timer),
            targets: Some(TargetsBy::Timer),
            boot_secs: Some(0.0),
            shutdown_secs: Some(0.0),
            healthy_secs: Some(0.0),
            ..Behaviour::default()
        };
        moto.client().configure(&timer).await.expect("configured");
        let plan = [ServicePlan::quick(ROLE, "mzum-web", "web.example.com", 1)];
        let mut account = setup::set_up(&gateway.url(), 16, &plan, &[]).await.unwrap_or_else(|error| panic!("{error}"));
        let stack = account.services.remove(ROLE).expect("the service");
        let settings = stack.settings.to_string();
        let cloud = cloud(&gateway.url(), &[("TAGSHIP_BUCKET", &account.bucket), (ROLE, &settings)]).await;
        let http = aws_smithy_http_client::Builder::new().build_http();
        let sdk = access(&gateway.url()).http_client(http).load().await;
        let (subnets, listener) = (account.subnets, account.http_listener);
        Self { gateway, cloud, stack, sdk, subnets, listener, _moto: moto }
    }

    /// The service's settings, resolved as provision takes them into the hold.
    pub(crate) async fn settings(&self) -> Settings {
        self.offered().await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn offered(&self) -> Result<Settings, Error> {
        let holding = Holding::default();
        let job = job(Action::Provision);
        let look = look(&job, &holding, None, Parts::OFFER);
        let world = port::<Everything>(&self.cloud).observe(&look).await?;
        Ok(world.offer.expect("an offer").settings)
    }

    /// A release that holds the service.
    pub(crate) async fn release(&self) -> Release<'_> {
        let hold = hold(self.settings().await);
        let holding = Holding { held: Some(Held { hold, etag: String::new(), freed: false }), ended: None };
        Release { holding, job: job(Action::Deploy), port: port(&self.cloud) }
    }
}

/// A release at work.
pub(crate) struct Release<'a> {
    pub(crate) holding: Holding,
    job: Job,
    port: Aws<'a, Everything>,
}

impl Release<'_> {
    fn look(&self) -> Look<'_> {
        let parts = Parts::INSTANCES.and(Parts::ROUTING).and(Parts::ADDRESSES).and(Parts::NAMES);
        look(&self.job, &self.holding, Some(self.settings()), parts)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.holding.held.as_ref().expect("a hold").hold.settings
    }

    pub(crate) async fn observe(&self) -> World {
        self.port.observe(&self.look()).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn apply(&self, step: Step) -> Result<(), Error> {
        self.port.apply(&self.look(), &step).await.map(drop)
    }

    /// A launch of so many into a subnet.
    pub(crate) fn launch(&self, subnet: &str, count: u32, client_token: &str) -> Step {
        let settings = self.settings();
        let (Ami::Id(ami), Choice::Ids(security_groups)) = (&settings.ami, &settings.sg) else {
            panic!("settings are resolved");
        };
        Step::Launch(Box::new(Launch {
            role: self.job.role.clone(),
            release: self.job.release.clone(),
            subnet: subnet.to_owned(),
            instance_type: settings.instance_type[0].clone(),
            count,
            client_token: client_token.to_owned(),
            ami: ami.clone(),
            security_groups: security_groups.clone(),
            instance_profile: settings.instance_profile.clone(),
            key_name: None,
            user_data: None,
            imds_hops: 1,
            volume: None,
            lasting: std::collections::BTreeMap::new(),
            tags: vec![
                (tagship::TAG_SERVICE.to_owned(), ROLE.to_owned()),
                (tagship::TAG_RELEASE.to_owned(), RELEASE.to_owned()),
            ],
        }))
    }
}

pub(crate) fn role() -> ServiceRole {
    ServiceRole::try_from(ROLE.to_owned()).expect("a role")
}

pub(crate) fn release(id: &str) -> ReleaseId {
    ReleaseId::try_from(id.to_owned()).expect("a release")
}

pub(crate) fn job(action: Action) -> Job {
    Job { role: role(), release: release(RELEASE), pipeline: "mzum-web".to_owned(), action, input: None }
}

pub(crate) fn port<P: Planner>(cloud: &Cloud) -> Aws<'_, P> {
    Aws::new(cloud, Instant::now() + Duration::from_secs(300), true)
}

pub(crate) fn look<'a>(job: &'a Job, holding: &'a Holding, settings: Option<&'a Settings>, parts: Parts) -> Look<'a> {
    Look { job, holding, settings, parts, began: Timestamp::UNIX_EPOCH }
}

pub(crate) fn hold(settings: Settings) -> Hold {
    Hold::taken(release(RELEASE), "mzum-web".to_owned(), Timestamp::UNIX_EPOCH, settings)
}

/// Settings for what never comes to use them.
pub(crate) fn any_settings() -> Settings {
    let text = r#"{"SUBNET": "subnet-1", "AMI": "ami-1", "INSTANCE_TYPE": "t3.micro", "SG": "sg-1",
        "INSTANCE_PROFILE": "web", "ZONE": "cd.internal",
        "DEPLOY": {"VIA": "codedeploy", "APPLICATION": "web", "GROUP": "product"}}"#;
    Settings::parse(&role(), text).unwrap_or_else(|error| panic!("{error}")).settings
}

/// All variables of a function together take 4 KB: the settings of most services are in parameters.
#[tokio::test]
async fn settings_without_a_variable_are_read_from_the_services_own_parameter() {
    let mut account = Account::set_up().await;
    let expected = account.settings().await;
    let ssm = aws_sdk_ssm::Client::new(&account.sdk);
    let settings = account.stack.settings.to_string();
    let put = ssm.put_parameter().name(format!("/tagship/{ROLE}")).value(settings);
    put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.expect("a parameter");
    for (variables, found) in [
        (&[("TAGSHIP_SETTINGS", "/tagship/")][..], true),
        (&[("TAGSHIP_SETTINGS", "/tagship/"), (ROLE, "ssm:/tagship/none")], false), // the variable comes first
        (&[("TAGSHIP_SETTINGS", "/other/")], false),
        (&[], false),
    ] {
        account.cloud = cloud(&account.gateway.url(), variables).await;
        let offered = account.offered().await.ok();
        assert_eq!(offered, found.then(|| expected.clone()), "{variables:?}");
    }
}
