//! The one list of actions: which planner each has, and which function it belongs to. What a planner reads and changes
//! stands with it ([`Planner::READS`], [`Planner::CHANGES`]).

use super::cleanup::{Discard, Park, Retire, Sweep};
use super::deploy::Deploy;
use super::provision::Provision;
use super::route::{Guard, Rollback, Shift};
use crate::{Action, Changes, Parts, Planner, StageName};

/// What is done with the planner of an action, whichever it is.
pub trait Visit {
    /// What comes of it.
    type Out;

    /// Does it.
    fn visit<P: Planner>(self) -> Self::Out;
}

/// One of the four Lambda functions: only its own planners are linked into its binary.
pub trait Function: 'static {
    /// Which.
    const STAGE: StageName;

    /// Does something with the planner of an action; none if the action isn't this function's.
    fn visit<V: Visit>(action: Action, visitor: V) -> Option<V::Out>;
}

macro_rules! actions {
    ($($function:ident ($stage:ident) { $($action:ident),+ })+) => {
        $(
            #[doc = concat!("The Lambda function of stage ", stringify!($stage), ".")]
            #[derive(Debug)]
            pub struct $function;

            impl Function for $function {
                const STAGE: StageName = StageName::$stage;

                fn visit<V: Visit>(action: Action, visitor: V) -> Option<V::Out> {
                    $(if action == $action::ACTION { return Some(visitor.visit::<$action>()); })+
                    None
                }
            }
        )+

        /// Does something with the planner of any action. A new action doesn't compile until it stands in the list.
        pub fn visit<V: Visit>(action: Action, visitor: V) -> V::Out {
            match action {
                $($(Action::$action => visitor.visit::<$action>(),)+)+
            }
        }
    };
}

actions! {
    ProvisionFunction (Provision) { Provision }
    DeployFunction (Deploy) { Deploy }
    RouteFunction (Route) { Shift, Rollback, Guard }
    CleanupFunction (Cleanup) { Retire, Discard, Park, Sweep }
}

/// What an action may read.
pub fn reads(action: Action) -> Parts {
    struct Reads;
    impl Visit for Reads {
        type Out = Parts;
        fn visit<P: Planner>(self) -> Parts {
            P::READS
        }
    }
    visit(action, Reads)
}

/// What an action may change.
pub fn changes(action: Action) -> Changes {
    struct Of;
    impl Visit for Of {
        type Out = Changes;
        fn visit<P: Planner>(self) -> Changes {
            P::CHANGES
        }
    }
    visit(action, Of)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Name;

    impl Visit for Name {
        type Out = Action;
        fn visit<P: Planner>(self) -> Action {
            P::ACTION
        }
    }

    #[test]
    fn each_action_has_its_own_planner_in_its_own_function() {
        fn check<F: Function>() {
            for stage in StageName::ALL {
                for action in stage.actions() {
                    assert_eq!(visit(*action, Name), *action);
                    let found = F::visit(*action, Name);
                    assert_eq!(found, (stage == F::STAGE).then_some(*action), "{action} in {}", F::STAGE);
                }
            }
        }
        check::<ProvisionFunction>();
        check::<DeployFunction>();
        check::<RouteFunction>();
        check::<CleanupFunction>();
    }
}
