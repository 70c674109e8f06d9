//! The hold: a compare-and-swap, whoever races.

use crate::account::{Account, RELEASE, any_settings, hold, release, role};
use jiff::Timestamp;
use tagship::{Ended, Error, Hold, HowEnded, Kind, Phase, Port, Step};

/// All at once; exactly one may win, and the others are told to look again.
async fn race(account: &Account, hold: impl Fn(usize) -> Hold, etag: Option<&str>) {
    let release = account.release().await;
    let step = |n| Step::WriteHold { hold: Box::new(hold(n)), etag: etag.map(str::to_owned) };
    let (a, b, c, d) =
        tokio::join!(release.apply(step(0)), release.apply(step(1)), release.apply(step(2)), release.apply(step(3)));
    let (won, lost): (Vec<_>, Vec<_>) = [a, b, c, d].into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{lost:?}");
    let kinds: Vec<Kind> = lost.into_iter().filter_map(Result::err).map(|error: Error| error.kind).collect();
    assert_eq!(kinds, [Kind::Conflict; 3]);
}

#[tokio::test]
async fn a_hold_has_one_life_and_one_holder() {
    let account = Account::set_up().await;
    let mine = |_| hold(any_settings());
    race(&account, mine, None).await;

    let by = account.release().await;
    let port = crate::account::port::<crate::account::Everything>(&account.cloud);
    let holding = async |id: &str, bound| {
        port.holding(&role(), &release(id), bound).await.unwrap_or_else(|error| panic!("{error}"))
    };
    let held = holding(RELEASE, false).await.held.expect("a hold");
    assert_eq!((&held.hold, held.freed), (&mine(0), false));

    race(&account, |_| Hold { phase: Phase::Ending, ..hold(any_settings()) }, Some(&held.etag)).await;
    let stale = by.apply(Step::DeleteHold { etag: held.etag }).await.expect_err("it has been written since");
    assert_eq!(stale.kind, Kind::Conflict, "{stale}");

    let ended = Ended::unheld(release(RELEASE), HowEnded::Discarded, Timestamp::UNIX_EPOCH);
    by.apply(Step::WriteEnded(ended.clone())).await.expect("the first word");
    let second = Ended { how: HowEnded::Kept, ..ended.clone() };
    let refused = by.apply(Step::WriteEnded(second)).await.expect_err("the first word stays");
    assert_eq!(refused.kind, Kind::Conflict, "{refused}");
    assert_eq!(holding(RELEASE, true).await.ended, Some(ended));

    // Another release sees that the hold is free, and has no end of its own.
    let other = holding("another", true).await;
    assert!(other.held.as_ref().is_some_and(|held| held.freed) && other.ended.is_none(), "{other:?}");
    let etag = other.held.expect("a hold").etag;
    by.apply(Step::DeleteHold { etag: etag.clone() }).await.expect("deleted");
    assert_eq!(holding("another", false).await.held, None);
    // Nothing to replace any more.
    let gone = by.apply(Step::WriteHold { hold: Box::new(mine(0)), etag: Some(etag) }).await.expect_err("gone");
    assert_eq!(gone.kind, Kind::Conflict, "{gone}");
}
