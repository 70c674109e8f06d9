//! What is looked at after a move, and by whom.

use tagship::engine::{Gate, Standing};
use tagship::settings::{Settings, TargetGroup};
use tagship::{Action, Holding, Kind, Parts, Planner, ReleaseId, StageName, Visit, World, actions};

/// One action for each set of parts that a planner may read.
pub(crate) const LOOKERS: [Action; 7] =
    [Action::Provision, Action::Deploy, Action::Shift, Action::Rollback, Action::Guard, Action::Discard, Action::Sweep];

/// No planner reads another set.
pub(crate) fn assert_complete() {
    for action in StageName::ALL.iter().flat_map(|stage| stage.actions()) {
        let same = |looker: &Action| actions::reads(*looker) == actions::reads(*action);
        assert!(LOOKERS.iter().any(same), "nobody looks as {action} does");
    }
}

/// Whether an action observes at all, by what the bucket says.
pub(crate) fn admitted(action: Action, release: &ReleaseId, holding: &Holding) -> bool {
    struct Admitted<'a>(Standing<'a>);
    impl Visit for Admitted<'_> {
        type Out = bool;
        fn visit<P: Planner>(self) -> bool {
            matches!(P::admit(self.0), Gate::Admit(_))
        }
    }
    actions::visit(action, Admitted(Standing::of(release, holding)))
}

/// The first action by which a release observes at all; it is given everything to read.
pub(crate) fn open_eyed(release: &ReleaseId, holding: &Holding) -> Option<Action> {
    [Action::Provision, Action::Discard].into_iter().find(|action| admitted(*action, release, holding))
}

/// What there is to read before settings are known: of these, what the bucket's word asks for.
pub(crate) fn first(reads: Parts, action: Action, release: &ReleaseId, holding: &Holding) -> Parts {
    let wanted = match Standing::of(release, holding) {
        Standing::Another(held) if !held.free() => Parts::HOLDER,
        Standing::Free | Standing::Another(_) => Parts::OFFER,
        Standing::Ended => Parts::ROSTER.when(action == Action::Sweep),
        _ => Parts::HOLDER.when(matches!(action, Action::Sweep | Action::Rollback | Action::Discard)),
    };
    if reads.has(wanted) { wanted } else { Parts::NONE }
}

/// What there is to read of a service with these settings, and then of the pair that was found.
pub(crate) fn then(reads: Parts, settings: &Settings, holds: bool, chosen: bool) -> [Parts; 2] {
    let pair = matches!(settings.target_group, TargetGroup::Pair(_));
    let held = Parts::FILTER.and(Parts::DEPLOYMENT).and(Parts::ARTIFACT.when(!chosen));
    let wanted = Parts::INSTANCES
        .and(Parts::ADDRESSES)
        .and(Parts::ROUTING.when(pair))
        .and(Parts::ALARMS.when(!settings.alarms.ids().is_empty()))
        .and(Parts::NAMES.when(settings.zone.is_some()))
        .and(Parts::IMAGE.when(settings.volume.is_some()))
        .and(held.when(holds));
    [wanted, Parts::BALANCER.when(pair)].map(|parts| parts.without(Parts::ALL.without(reads)))
}

/// One release's look, in the scenario's names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    pub(crate) release: &'static str,
    /// The action whose stage looked; none for a look at everything.
    pub(crate) stage: Option<Action>,
    pub(crate) holding: Holding,
    /// None where no action of the release may look.
    pub(crate) world: Option<Result<World, Kind>>,
    /// The operations that it was on the wire, sorted.
    pub(crate) requests: Vec<String>,
    /// Those of a second look by the same invocation.
    pub(crate) again: Vec<String>,
}

/// What came of a move.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Seen {
    /// Of a step: its error's kind.
    pub(crate) refused: Option<Kind>,
    /// The operations that the step was on the wire, sorted.
    pub(crate) requests: Vec<String>,
    /// Empty if nobody looked.
    pub(crate) looks: Vec<Look>,
}

impl Seen {
    /// A line for each thing, to tell differences by.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("refused: {:?}", self.refused), format!("requests: {:?}", self.requests)];
        for look in &self.looks {
            let who = format!("{} ({})", look.release, look.stage.map_or("everything", Action::as_str));
            lines.extend(look.lines().into_iter().map(|line| format!("{who}: {line}")));
        }
        lines
    }
}

impl Look {
    fn lines(&self) -> Vec<String> {
        let (held, ended) = (format!("{:?}", self.holding.held), format!("{:?}", self.holding.ended));
        let requests = [format!("requests: {:?}", self.requests), format!("again: {:?}", self.again)];
        let mut lines = vec![held, ended];
        lines.extend(requests);
        let world = match &self.world {
            Some(Ok(world)) => world,
            other => {
                lines.push(format!("{other:?}"));
                return lines;
            }
        };
        let World {
            now: _,
            seen: _,
            read,
            instances,
            routing,
            addresses,
            names,
            filtered,
            deployment,
            artifact,
            offer,
            user_data,
            devices,
            holder,
            alarms,
            figures,
            roster,
            balancer,
            hook,
        } = world;
        lines.push(format!("{read:?}"));
        lines.extend(instances.iter().map(|it| format!("{it:?}")));
        lines.push(format!("routing: {}", routing.is_some()));
        lines.extend(routing.iter().flat_map(|it| &it.groups).map(|it| format!("{it:?}")));
        lines.extend(routing.iter().flat_map(|it| &it.switches).map(|it| format!("{it:?}")));
        lines.extend(routing.iter().map(|it| format!("untagged: {:?}", it.untagged)));
        lines.extend(addresses.iter().map(|it| format!("{it:?}")));
        lines.extend(names.iter().map(|it| format!("{it:?}")));
        lines.extend([format!("filtered: {filtered}"), format!("{deployment:?}"), format!("{artifact:?}")]);
        lines.extend([
            format!("{offer:?}"),
            format!("{user_data:?}"),
            format!("{devices:?}"),
            format!("{holder:?}"),
            format!("{alarms:?}"),
            format!("{figures:?}"),
            format!("{roster:?}"),
            format!("{balancer:?}"),
            format!("{hook:?}"),
        ]);
        lines
    }
}
