//! Instances: launched, retired, stopped, terminated, dying by themselves.

use crate::scenario::{Act, Move, NOBODY, Scenario, launch, stop, tag_retired, terminate};
use serde_json::json;
use tagship::{Launch, TAG_RELEASE, TAG_SERVICE};

pub(crate) fn all() -> Vec<Scenario> {
    vec![launches(), volumes(), ends(), kept(), deaths()]
}

/// A token launches once, whatever becomes of its instances; capacity is counted by subnet and type.
fn launches() -> Scenario {
    Scenario::usual("LAUNCHES", |steps| {
        let first = steps.launching("r1", "subnet-a", 2, "first");
        vec![
            steps.take("r1"),
            launch(first.clone()),
            launch(first.clone()),
            Move::Act(Act::Boot),
            launch(first.clone()),
            launch(Launch { count: 1, ..first.clone() }),
            launch(Launch { instance_type: "t3.small".to_owned(), ..first.clone() }),
            launch(Launch { user_data: Some("other".to_owned()), ..first.clone() }),
            launch(Launch { tags: steps.tags("r2"), ..first.clone() }),
            // A token is its zone's.
            launch(Launch { subnet: "subnet-b".to_owned(), ..first.clone() }),
            Move::Act(Act::Capacity("subnet-a", 1)),
            steps.launch("r1", "subnet-a", 2, "second"),
            steps.launch("r1", "subnet-a", 1, "third"),
            steps.launch("r1", "subnet-a", 1, "fourth"),
            launch(first.clone()),
            steps.launch("r1", "subnet-b", 1, "fifth"),
            Move::Act(Act::Capacity("subnet-a", 5)),
            steps.launch("r1", "subnet-a", 1, "fourth"),
            terminate("instance1 instance2"),
            Move::Act(Act::Settle),
            launch(first),
            Move::Act(Act::Look),
        ]
    })
}

/// With a volume, the image is asked what it calls its root device; the launch is one call all the same.
fn volumes() -> Scenario {
    let settings = json!({"VOLUME": {"SIZE": 9, "TYPE": "gp3"}});
    Scenario::new("VOLUMES", settings, &["r1"], |steps| {
        vec![
            Move::Act(Act::Look),
            steps.take("r1"),
            Move::Act(Act::Look),
            steps.launch("r1", "subnet-a", 1, "first"),
            Move::Act(Act::Boot),
        ]
    })
}

/// Termination is idempotent, and fails as a whole.
fn ends() -> Scenario {
    Scenario::usual("ENDS", |steps| {
        vec![
            steps.take("r1"),
            steps.launch("r1", "subnet-a", 3, "first"),
            terminate("instance1"),
            Move::Act(Act::Boot),
            terminate(&format!("instance2 {NOBODY}")),
            terminate("instance2 instance1"),
            terminate("instance2"),
            Move::Act(Act::Settle),
            terminate("instance2"),
            stop("instance2"),
            stop(NOBODY),
            tag_retired(NOBODY, "r2"),
            Move::Act(Act::Look),
        ]
    })
}

/// Retired instances are kept stopped, until the next release terminates them.
fn kept() -> Scenario {
    Scenario::usual("KEPT", |steps| {
        vec![
            steps.take("r1"),
            steps.launch("r1", "subnet-b", 2, "first"),
            stop("instance1"),
            Move::Act(Act::Boot),
            tag_retired("instance1 instance2", "r2"),
            stop("instance1 instance2"),
            stop("instance1"),
            Move::Act(Act::Settle),
            stop("instance1"),
            Move::Act(Act::Look),
            tag_retired("instance1", "r3"),
            terminate("instance1"),
            Move::Act(Act::Settle),
            Move::Act(Act::Untag("instance2", TAG_RELEASE)),
            Move::Act(Act::Untag("instance2", tagship::TAG_RETIRED_BY)),
            Move::Act(Act::Untag("instance2", TAG_SERVICE)),
        ]
    })
}

/// What the world does to instances.
fn deaths() -> Scenario {
    Scenario::usual("DEATHS", |steps| {
        vec![
            steps.take("r1"),
            steps.launch("r1", "subnet-a", 3, "first"),
            Move::Act(Act::BootFails("instance1")),
            Move::Act(Act::Boot),
            Move::Act(Act::Die("instance2")),
            terminate("instance1 instance2"),
            stop("instance3"),
            Move::Act(Act::Look),
        ]
    })
}
