//! The planted mistakes: what planners do wrong on purpose, to prove that the checkers can fail.

use std::cell::Cell;

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The client token names the service, but neither the release nor the hold's `since`.
    TokenWithoutSince,
    /// The client token also says how many instances run at the moment.
    TokenOfTheMoment,
    /// The phase isn't read again before a change.
    NoSecondLook,
    /// Weights move before the candidate is healthy.
    WeightsBeforeHealth,
    /// Only one switch is looked at.
    SecondSwitchForgotten,
    /// The predecessor is terminated once the weights have moved.
    RetiredBeforeApproval,
    /// An instance that isn't the service's is terminated because it is in the pair.
    StrangerTerminated,
    /// Rollback goes to a group without a healthy target.
    RollbackToTheDead,
    /// Discard forgets the addresses.
    AddressLeaked,
    /// Discard forgets the names.
    NameLeaked,
    /// Provision takes a hold that another release has.
    HoldIgnored,
    /// The hold is never deleted.
    HoldNeverFreed,
    /// What is deregistered is terminated at once.
    DrainSkipped,
    /// A target that hasn't been checked is read as healthy.
    UncheckedIsHealthy,
    /// A new invocation launches again, whatever is there.
    LaunchAgain,
    /// SETTLE isn't waited for.
    NoSettling,
    /// Deploy takes what isn't its own out of either group, the live one too.
    WrongGroupEmptied,
    /// Provision gives the live name to its fleet before anything is installed on it.
    NamedBeforeInstall,
    /// Shift terminates the predecessor while the live name still leads to it.
    RetiredWhileNamed,
    /// A process that stood still goes on by what it saw before.
    StaleWorld,
    /// Weights are set whatever they have become since the look.
    WeightsNotCompared,
    /// Provision takes the hold of a service for a pipeline that isn't the service's.
    AnyPipeline,
    /// Park doesn't ask whether the service is a pre-product.
    ProductParked,
    /// Who asks directly is believed.
    DirectBelieved,
    /// An execution that isn't found once has ended.
    MissingIsEnded,
    /// A switch without the service's tag is moved all the same.
    UntaggedMoved,
    /// What is protected against termination is tried again and again.
    ProtectedInsisted,
    /// Discard doesn't keep what has failed for POSTMORTEM seconds.
    NothingKept,
    /// Discard keeps what has failed, and leaves its targets where they are.
    KeptInItsGroup,
    /// A step of a shift doesn't stand as long as it should.
    BakeSkipped,
    /// A step gives the candidate more than the settings say.
    ShareExceeded,
    /// That the traffic goes back is forgotten: it moves forward again, and may be approved.
    BackForgotten,
    /// The traffic goes back before that is written down.
    BackUnwritten,
    /// Nobody listens to alarms.
    AlarmsIgnored,
    /// While an alarm can't be seen, nobody looks whether the release fails.
    AlarmAwaited,
    /// What was found before nobody could look for minutes is taken to have lasted.
    GapIgnored,
    /// A candidate's errors aren't seen in the balancer's figures.
    ErrorsOverlooked,
    /// The balancer's figures are read before all answers are counted.
    FiguresTooFresh,
    /// Sweep leaves the addresses of the dead in the live name.
    DeadNamed,
    /// Rules for test traffic are forgotten when a release is removed.
    TestForgotten,
    /// Test traffic is led to a candidate that isn't healthy yet.
    TestBeforeHealth,
    /// Hooks aren't called.
    HooksSkipped,
    /// A hook that isn't done, or has failed, is taken to have passed the release.
    HookBelieved,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 43] = [
        Self::TokenWithoutSince,
        Self::TokenOfTheMoment,
        Self::NoSecondLook,
        Self::WeightsBeforeHealth,
        Self::SecondSwitchForgotten,
        Self::RetiredBeforeApproval,
        Self::StrangerTerminated,
        Self::RollbackToTheDead,
        Self::AddressLeaked,
        Self::NameLeaked,
        Self::HoldIgnored,
        Self::HoldNeverFreed,
        Self::DrainSkipped,
        Self::UncheckedIsHealthy,
        Self::LaunchAgain,
        Self::NoSettling,
        Self::WrongGroupEmptied,
        Self::NamedBeforeInstall,
        Self::RetiredWhileNamed,
        Self::StaleWorld,
        Self::WeightsNotCompared,
        Self::AnyPipeline,
        Self::ProductParked,
        Self::DirectBelieved,
        Self::MissingIsEnded,
        Self::ProtectedInsisted,
        Self::UntaggedMoved,
        Self::NothingKept,
        Self::KeptInItsGroup,
        Self::BakeSkipped,
        Self::ShareExceeded,
        Self::BackForgotten,
        Self::BackUnwritten,
        Self::AlarmsIgnored,
        Self::AlarmAwaited,
        Self::GapIgnored,
        Self::ErrorsOverlooked,
        Self::FiguresTooFresh,
        Self::DeadNamed,
        Self::TestForgotten,
        Self::TestBeforeHealth,
        Self::HooksSkipped,
        Self::HookBelieved,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// The mistake that this thread's planners make from now on.
pub fn plant(mistake: Option<Mistake>) {
    PLANTED.set(mistake);
}

/// The mistake that this thread's planners make.
pub(crate) fn planted() -> Option<Mistake> {
    PLANTED.get()
}
