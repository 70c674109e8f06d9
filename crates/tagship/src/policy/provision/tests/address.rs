//! Public addresses: the release's own, and a pool's.

use super::*;

fn pool() -> Eip {
    Eip::Pool(Selector { parts: vec![("pool".to_owned(), "web".to_owned())] })
}

#[test]
fn each_instance_has_an_address_of_its_own() {
    let own = |addresses: &[(&str, Option<u8>)], expected| {
        check(|case| case.addresses(Some(2), Eip::Own, addresses), expected);
    };
    own(&[], "do: allocate an address");
    own(&[("e1", Some(1))], "do: allocate an address");
    own(&[("e1", None), ("e2", None), ("e3", None)], "do: release e3");
    own(&[("e2", None), ("e1", None)], "do: associate e1 with i-21");
    own(&[("e2", None), ("e1", Some(1))], "do: associate e2 with i-22");
    own(&[("e1", Some(1)), ("e2", Some(9))], "wait: a public address for i-22");
    own(&[("e1", Some(2)), ("e2", Some(1))], "done: ");
    // Allocated while the instances boot, associated once they run.
    check(
        |case| {
            case.addresses(Some(2), Eip::Own, &[]);
            case.instance(1).state = InstanceState::Pending;
        },
        "do: allocate an address",
    );
    // Another release's are not touched.
    check(|case| case.addresses(Some(1), Eip::Own, &[("e1", None), ("e2", None)]), "do: allocate an address");
}

#[test]
fn a_pool_is_borrowed_from_and_never_stolen_from() {
    let pooled = |addresses: &[(&str, Option<u8>)], expected| {
        check(|case| case.addresses(None, pool(), addresses), expected);
    };
    pooled(&[("e1", Some(9)), ("e3", None), ("e2", None)], "do: associate e2 with i-21");
    pooled(&[("e1", Some(1)), ("e2", Some(2)), ("e3", None)], "done: ");
    let short = "fail: EIP tag:pool=web has 2 addresses, 1 of them free, but COUNT is 2";
    pooled(&[("e1", Some(9)), ("e2", None)], short);
    // Found out before anything is launched.
    check(
        |case| {
            case.addresses(None, pool(), &[("e1", Some(9)), ("e2", None)]);
            case.fleet([]);
        },
        short,
    );
}
