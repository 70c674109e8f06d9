//! What the settings can ask for: a story each, of several services side by side in one cloud.
//!
//! At the end every request that was made is held against AWS's own models, and every permission of the functions'
//! roles against the requests.

mod addresses;
mod by_name;
mod failing;
mod gradual;
mod hooks;
mod pool;
mod pre_product;
mod test_traffic;

use std::time::Duration;
use tagship_local::moto::{Behaviour, Capacity};
use tagship_local::setup::ServicePlan;
use tagship_local::validate;
use tagship_local::{Line, Local, Plan};
use tagship_tests::privileges::excess;
use tagship_tests::releases::{Releases, start};
use tagship_tests::stories;
use tagship_tests::variables::Variables;

use addresses::addresses_of_its_own;
use by_name::reached_by_name;
use failing::jobs_that_fail;
use gradual::traffic_in_steps;
use hooks::{SMOKE_TEST, hooks_decide};
use pool::addresses_of_a_pool;
use pre_product::before_the_product;

/// One service of a pipeline, and where its settings stand.
#[derive(Clone, Copy)]
struct Service<'a> {
    releases: Releases<'a>,
    variables: &'a Variables<'a>,
}

impl<'a> Service<'a> {
    /// Has ops set its settings.
    fn set(&self, settings: &str) {
        self.variables.set(self.releases.role, settings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_does_what_it_says() {
    let mut shop = Line::quick("shop", "SHOP_PRODUCT", "shop.example.com", 40);
    shop.pre_product = Some(ServicePlan::quick("SHOP_QA", "shop", "qa.shop.example.com", 50));
    let mut steps = Line::quick("steps", "STEPS_PRODUCT", "steps.example.com", 70);
    steps.product.test = Some((69, test_traffic::SECRET.to_owned()));
    let lines = vec![
        Line::quick("own", "OWN_PRODUCT", "own.example.com", 10),
        Line::quick("pool", "POOL_PRODUCT", "pool.example.com", 20),
        Line::quick("worker", "WORKER", "worker.example.com", 30),
        shop,
        steps,
        Line::quick("jobs", "JOBS", "jobs.example.com", 60),
        Line::quick("hooks", "HOOKS_PRODUCT", "hooks.example.com", 80),
    ];
    let sweep = Some(Duration::from_secs(20));
    let hooks = vec![(SMOKE_TEST.to_owned(), Some("HOOKS_PRODUCT".to_owned()))];
    let local = start(Plan { sweep, minute_secs: 1, hooks, ..Plan::new(lines) }).await;
    let full = |subnet: &str, kind: &str| Capacity {
        subnet: subnet.to_owned(),
        instance_type: kind.to_owned(),
        code: "InsufficientInstanceCapacity".to_owned(),
        available: 0,
    };
    let first = local.account.subnets[0].as_str();
    let capacity = vec![full(first, "c5.large"), full("*", "m5.large"), full("*", "m5.xlarge")];
    let behaviour = Behaviour { capacity: Some(capacity), ..Behaviour::default() };
    local.moto.configure(&behaviour).await.expect("configured");

    let variables = Variables::of(&local);
    let service =
        |pipeline, role| Service { releases: Releases { local: &local, role, pipeline }, variables: &variables };
    stories!(
        addresses_of_its_own(service("own", "OWN_PRODUCT")),
        addresses_of_a_pool(service("pool", "POOL_PRODUCT")),
        reached_by_name(service("worker", "WORKER")),
        before_the_product(service("shop", "SHOP_PRODUCT"), service("shop", "SHOP_QA")),
        traffic_in_steps(service("steps", "STEPS_PRODUCT")),
        jobs_that_fail(service("jobs", "JOBS")),
        hooks_decide(service("hooks", "HOOKS_PRODUCT")),
    );
    requests_are_what_aws_takes(&local).await;
    assert_eq!(excess(&local), Vec::<String>::new());
}

/// Every request of the stories, held against botocore's models.
async fn requests_are_what_aws_takes(local: &Local) {
    let recording = local.dir.path().join("requests.jsonl");
    let validate::Verdict { passed, said } =
        validate::recorded(local.gateway.recorder(), &recording).await.expect("a verdict");
    let recorded = local.gateway.recorder().counts().values().sum::<u64>();
    assert!(passed && recorded > 1_000, "{recorded} were recorded; {said}");
}
