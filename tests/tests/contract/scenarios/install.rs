//! CodeDeploy's side: the filter, deployments, the artifact.

use crate::scenario::{
    Act, Move, Scenario, Steps, deploy, filter, named_artifact, stop_deployment, terminate, with, write,
};
use tagship::Hold;
use tagship_sim::cloud::Build;

pub(crate) fn all() -> Vec<Scenario> {
    vec![installs(), fails(), stopped(), nobody(), artifacts()]
}

fn begun(steps: &Steps, count: u32) -> Vec<Move> {
    let mut moves = steps.fleet("r1", count);
    moves.push(filter("r1"));
    moves
}

/// One deployment at a time, to the running instances that the filter finds.
fn installs() -> Scenario {
    Scenario::usual("INSTALLS", |steps| {
        with(
            begun(steps, 2),
            [
                filter("r2"),
                filter("r1"),
                steps.launch("r2", "subnet-a", 1, "other"),
                Move::Act(Act::Boot),
                steps.launch("r1", "subnet-a", 1, "late"),
                deploy("r1", "artifact1"),
                deploy("r1", "artifact1"),
                filter("r2"),
                deploy("r2", "artifact1"),
                Move::Act(Act::Install),
                Move::Act(Act::Look),
                stop_deployment("deployment1"),
                filter("r1"),
                Move::Act(Act::Boot),
                deploy("r1", "artifact1"),
                Move::Act(Act::Install),
                Move::Act(Act::Look),
            ],
        )
    })
}

/// With AllAtOnce one success is enough; none is a failure.
fn fails() -> Scenario {
    Scenario::usual("FAILS", |steps| {
        with(
            begun(steps, 2),
            [
                Move::Act(Act::Build("r1", Build::FailsOnOne)),
                deploy("r1", "artifact1"),
                Move::Act(Act::Install),
                terminate("instance2"),
                Move::Act(Act::Settle),
                deploy("r1", "artifact1"),
                Move::Act(Act::Install),
                Move::Act(Act::Look),
            ],
        )
    })
}

/// Stopped half-way, and not again.
fn stopped() -> Scenario {
    Scenario::usual("HALTED", |steps| {
        with(
            begun(steps, 2),
            [
                deploy("r1", "artifact1"),
                stop_deployment("deployment1"),
                stop_deployment("deployment1"),
                stop_deployment("d-123456789"),
                Move::Act(Act::Install),
                deploy("r1", "artifact1"),
                Move::Act(Act::Install),
                Move::Act(Act::Look),
            ],
        )
    })
}

/// A deployment that finds no instance.
fn nobody() -> Scenario {
    Scenario::usual("NOBODY", |steps| {
        vec![
            steps.take("r1"),
            filter("r1"),
            deploy("r1", "artifact1"),
            steps.launch("r1", "subnet-a", 1, "first"),
            deploy("r1", "artifact1"),
            Move::Act(Act::Look),
        ]
    })
}

/// An artifact is found, chosen, and then deleted: the choice stays.
fn artifacts() -> Scenario {
    Scenario::usual("ARTIFACTS", |steps| {
        let chosen = Hold { artifact: Some(named_artifact("artifact1")), ..steps.hold("r1") };
        vec![
            Move::Act(Act::Look),
            steps.take("r1"),
            Move::Act(Act::Look),
            Move::Act(Act::Build("r1", Build::Missing)),
            Move::Act(Act::Look),
            write(chosen, Some("etag1")),
            Move::Act(Act::Look),
        ]
    })
}
