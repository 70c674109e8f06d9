//! Tokens that fit, and looks that follow each other.

use super::*;
use crate::cleanup::removal::RemovalMemory;
use crate::testing::at;

#[test]
fn a_token_says_what_the_memo_does() {
    let plan = RemovalMemory { weightless_since: Some(at(7)), protected: vec!["i-1".to_owned()], ..Default::default() };
    let watched = Some(Watched { since: at(5), until: at(9) });
    let memo = Memo { refused_since: Some(at(8)), throttled_secs: 3, watched, plan, ..Memo::new(at(1)) };
    assert_eq!(Memo::from_token(&memo.to_token()), Some(memo));
    assert_eq!(Memo::<RemovalMemory>::from_token("no token"), None);
}

#[test]
fn what_does_not_fit_is_forgotten() {
    let protected: Vec<String> = (0..200).map(|n| format!("i-{n:017x}")).collect();
    let watched = Some(Watched { since: at(5), until: at(9) });
    let plan = RemovalMemory { weightless_since: Some(at(7)), protected, ..Default::default() };
    let token = Memo { watched, plan, ..Memo::new(at(1)) }.to_token();
    let read = Memo::<RemovalMemory>::from_token(&token).expect("a memo");
    assert_eq!((read.watched, read.plan.weightless_since), (watched, Some(at(7))));
    let kept = read.plan.protected.len();
    assert!(token.len() <= TOKEN_MAX && kept > 50, "{kept} are kept in {} characters", token.len());

    // A later version may have written more than fits beside what this one writes.
    let later = |length: usize| format!(r#"{{"v":9,"began":"{}","later":"{}"}}"#, at(1), "x".repeat(length));
    let token = |length| Memo::<()>::from_token(&later(length)).expect("a memo").to_token();
    assert!(token(10).contains("xxxxxxxxxx"));
    let short = token(TOKEN_MAX);
    assert!(short.len() < 100 && Memo::<()>::from_token(&short).is_some_and(|memo| memo.began == at(1)), "{short}");
}

#[test]
fn looks_that_are_too_far_apart_begin_anew() {
    let check = |seen, expected| {
        let watched = Watched { since: at(10), until: at(100) };
        assert_eq!(Watched::since(Some(watched), at(seen)), at(expected), "seen at {seen} s");
    };
    assert_eq!(Watched::since(None, at(50)), at(50));
    check(90, 10);
    check(100, 10);
    check(100 + UNWATCHED_SECS, 10);
    check(101 + UNWATCHED_SECS, 101 + UNWATCHED_SECS);
}
