//! Contract tests: the same scenarios on the simulator and, through the AWS adapter, on the emulator; after every move
//! both have to show the same, so that the simulator can't drift from the wire.
//!
//! Where they differ, AWS's documentation decides which one is mended. What isn't compared is listed in `names.rs`.
//! `CONTRACT=ADDRESSES` in the environment plays the scenarios of that name alone.

mod looks;
mod names;
mod scenario;
mod scenarios;
mod simulated;
mod wire;

use looks::{Look, Seen};
use scenario::{Move, Scenario};
use std::collections::BTreeSet;
use std::fmt::Write;
use tagship::{Health, Step, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulator_and_wire_show_the_same() {
    looks::assert_complete();
    let only = std::env::var("CONTRACT").ok();
    let mut all = scenarios::all();
    all.retain(|scenario| only.as_ref().is_none_or(|only| scenario.name.contains(only)));
    let wire = wire::Wire::set_up(&all).await;
    let mut differences = String::new();
    let mut covered = Covered::default();
    for scenario in &all {
        let simulated = simulated::play(scenario);
        let real = wire.play(scenario).await;
        check(scenario, &simulated, &real, &mut differences);
        simulated.iter().zip(&scenario.moves).for_each(|(seen, it)| covered.add(it, seen));
    }
    assert!(differences.is_empty(), "{differences}");
    if only.is_none() {
        covered.assert_everything();
    }
}

/// Tells where the two differ for the first time; later differences follow from it.
fn check(scenario: &Scenario, simulated: &[Seen], wire: &[Seen], differences: &mut String) {
    for ((n, it), (simulated, wire)) in (1..).zip(&scenario.moves).zip(simulated.iter().zip(wire)) {
        if simulated == wire {
            continue;
        }
        let _ = writeln!(differences, "\n{}, move {n}: {it}", scenario.name);
        let (simulated, wire) = (simulated.lines(), wire.lines());
        for (whose, lines, others) in [("simulator", &simulated, &wire), ("wire", &wire, &simulated)] {
            for line in lines.iter().filter(|line| !others.contains(line)) {
                let _ = writeln!(differences, "  {whose:>9}: {line}");
            }
        }
        return;
    }
}

/// A name for each variant, and the list of them: a variant that isn't here doesn't compile.
macro_rules! variants {
    ($of:ident, $all:ident: $kind:ident { $($name:ident),* $(,)? }) => {
        const $all: &[&str] = &[$(stringify!($name)),*];

        fn $of(it: &$kind) -> &'static str {
            match it {
                $($kind::$name { .. } => stringify!($name)),*
            }
        }
    };
}

variants!(step_name, STEPS: Step {
    WriteHold, WriteEnded, DeleteHold, WriteRoster, Launch, Terminate, TagRetired, Stop, AllocateAddress, AssociateAddress,
    DisassociateAddress, ReleaseAddress, ChangeNames, FilterDeployments, CreateDeployment, StopDeployment, Register,
    Deregister, SetWeights, PointTest, Abandon, StopExecution, CallHook,
});
variants!(health_name, HEALTHS: Health { Initial, Healthy, Unhealthy, Unused, Draining, Unavailable });

/// What the scenarios have come across.
#[derive(Default)]
struct Covered {
    /// Steps that were taken, and those that were refused, as `Launch: Capacity`.
    steps: BTreeSet<String>,
    /// Parts of worlds that weren't empty, and the states of what was in them.
    seen: BTreeSet<String>,
}

impl Covered {
    fn add(&mut self, it: &Move, seen: &Seen) {
        if let (Move::Step(step), _) = it.parts() {
            let name = step_name(step);
            self.steps.insert(seen.refused.map_or(name.to_owned(), |kind| format!("{name}: {kind:?}")));
        }
        for Look { holding, world, .. } in &seen.looks {
            let mut note = |what: &str, there: bool| {
                if there {
                    self.seen.insert(what.to_owned());
                }
            };
            note("held", holding.held.is_some());
            note("freed", holding.held.as_ref().is_some_and(|held| held.freed));
            note("ended", holding.ended.is_some());
            let Some(Ok(world)) = world else { continue };
            let World { instances, routing, addresses, names, filtered, deployment, artifact, offer, holder, .. } =
                world;
            note("no routing", routing.is_none());
            note("addresses", !addresses.is_empty());
            note("names", !names.is_empty());
            note("filtered", *filtered);
            note("root device", world.devices.as_ref().is_some_and(|devices| devices.root.is_some()));
            note("roster", world.roster.is_some());
            world.alarms.iter().for_each(|alarm| note(&format!("alarm {:?}", alarm.state), true));
            note("artifact", artifact.as_ref().is_some_and(Result::is_ok));
            note("no artifact", artifact.as_ref().is_some_and(Result::is_err));
            note("settings", offer.is_some());
            for instance in instances {
                note(&format!("{:?}", instance.state), true);
            }
            let groups = routing.iter().flat_map(|routing| &routing.groups);
            for target in groups.flat_map(|group| &group.targets) {
                note(health_name(&target.health), true);
            }
            if let Some(deployment) = deployment {
                note(&format!("deployment {:?}", deployment.state), true);
            }
            if let Some(holder) = holder {
                note(&format!("execution {:?}", holder.state), true);
            }
        }
    }

    fn assert_everything(&self) {
        let untaken: Vec<_> = STEPS.iter().filter(|name| !self.steps.contains(**name)).collect();
        assert!(untaken.is_empty(), "no scenario takes {untaken:?}");
        let refusals = [
            "WriteHold: Conflict",
            "WriteEnded: Conflict",
            "WriteRoster: Conflict",
            "DeleteHold: Conflict",
            "Launch: Conflict",
            "Launch: Capacity",
            "Terminate: Conflict",
            "TagRetired: Conflict",
            "Stop: Conflict",
            "AllocateAddress: Capacity",
            "AssociateAddress: Conflict",
            "DisassociateAddress: Conflict",
            "ReleaseAddress: Conflict",
            "ChangeNames: Conflict",
            "CreateDeployment: Conflict",
            "StopDeployment: Conflict",
            "Register: Conflict",
            "Deregister: Conflict",
            "SetWeights: Conflict",
            "PointTest: Conflict",
        ];
        let unmet: Vec<_> = refusals.iter().filter(|it| !self.steps.contains(**it)).collect();
        assert!(unmet.is_empty(), "no scenario meets {unmet:?}; met {:?}", self.steps);
        let parts = [
            "held",
            "freed",
            "ended",
            "no routing",
            "addresses",
            "names",
            "filtered",
            "root device",
            "roster",
            "artifact",
            "no artifact",
            "settings",
        ];
        let states = ["Pending", "Running", "ShuttingDown", "Terminated", "Stopping", "Stopped"];
        let deployments = ["Running", "Succeeded", "Failed", "Stopped"].map(|state| format!("deployment {state}"));
        let executions = ["Running", "Succeeded", "Ended", "NotFound"].map(|state| format!("execution {state}"));
        let alarms = ["Ok", "Alarm", "NoData"].map(|state| format!("alarm {state}"));
        // The simulator has no group without health checks.
        let healths = HEALTHS.iter().filter(|name| **name != "Unavailable");
        let wanted = parts.iter().chain(&states).chain(healths).map(|it| (*it).to_owned());
        let unseen: Vec<_> =
            wanted.chain(deployments).chain(executions).chain(alarms).filter(|it| !self.seen.contains(it)).collect();
        assert!(unseen.is_empty(), "no scenario shows {unseen:?}");
    }
}
