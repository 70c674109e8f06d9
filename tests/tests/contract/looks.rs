//! What is looked at after a move, and by whom.

use tagship::{
    Action, Holding, Kind, Reads, ReleaseId, Stage, StageName, Verdict, World, admit, cleanup, deploy, provision, route,
};

/// All there is to read.
pub(crate) const EVERYTHING: Reads = Reads {
    settings: true,
    holder: true,
    instances: true,
    routing: true,
    addresses: true,
    names: true,
    install: true,
    artifact: true,
};

/// What each action's stage reads.
pub(crate) fn reads(action: Action) -> Reads {
    match action {
        Action::Provision => provision::Provision::READS,
        Action::Deploy => deploy::Deploy::READS,
        Action::Shift => route::Shift::READS,
        Action::Rollback => route::Rollback::READS,
        Action::Retire => cleanup::Retire::READS,
        Action::Discard => cleanup::Discard::READS,
        Action::Park => cleanup::Park::READS,
        Action::Sweep => cleanup::Sweep::READS,
    }
}

/// One action for each set of parts that a stage reads.
pub(crate) const LOOKERS: [Action; 5] =
    [Action::Provision, Action::Deploy, Action::Shift, Action::Discard, Action::Sweep];

/// No stage reads another set.
pub(crate) fn assert_complete() {
    let read = |action| format!("{:?}", reads(action));
    for action in StageName::ALL.iter().flat_map(|stage| stage.actions()) {
        assert!(LOOKERS.iter().any(|looker| read(*looker) == read(*action)), "nobody looks as {action} does");
    }
}

/// The verdict by which an action observes; none if the loop answers without a look.
pub(crate) fn admitted(action: Action, release: &ReleaseId, holding: &Holding) -> Option<Verdict> {
    match admit(action, release, holding) {
        Verdict::Refuse(_) | Verdict::Nothing(_) => None,
        verdict => Some(verdict),
    }
}

/// The first action by which a release observes at all; it is given [`EVERYTHING`] to read.
pub(crate) fn open_eyed(release: &ReleaseId, holding: &Holding) -> Option<(Action, Verdict)> {
    let admitted = |action| admitted(action, release, holding).map(|verdict| (action, verdict));
    [Action::Provision, Action::Discard].into_iter().find_map(admitted)
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
}

/// What came of a move.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Seen {
    /// Of a step: its error's kind.
    pub(crate) refused: Option<Kind>,
    /// Empty if nobody looked.
    pub(crate) looks: Vec<Look>,
}

impl Seen {
    /// A line for each thing, to tell differences by.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("refused: {:?}", self.refused)];
        for look in &self.looks {
            let who = format!("{} ({})", look.release, look.stage.map_or("everything", Action::as_str));
            lines.extend(look.lines().into_iter().map(|line| format!("{who}: {line}")));
        }
        lines
    }
}

impl Look {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:?}", self.holding.held), format!("{:?}", self.holding.ended)];
        let world = match &self.world {
            Some(Ok(world)) => world,
            other => {
                lines.push(format!("{other:?}"));
                return lines;
            }
        };
        let World { now: _, seen: _, instances, routing, addresses, names, install, artifact, settings, holder } =
            world;
        lines.extend(instances.iter().map(|it| format!("{it:?}")));
        lines.push(format!("routing: {}", routing.is_some()));
        lines.extend(routing.iter().flat_map(|it| &it.groups).map(|it| format!("{it:?}")));
        lines.extend(routing.iter().flat_map(|it| &it.switches).map(|it| format!("{it:?}")));
        lines.extend(addresses.iter().map(|it| format!("{it:?}")));
        lines.extend(names.iter().map(|it| format!("{it:?}")));
        lines.extend([format!("{install:?}"), format!("{artifact:?}"), format!("{settings:?}"), format!("{holder:?}")]);
        lines
    }
}
