//! A sound ground, and what is found when one thing of it is wrong.

use super::*;
use crate::testing;

/// As `testing::settings` wants it, with a load balancer before port 8080.
fn ground() -> Ground {
    let set = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<String>>();
    let door = Door { ports: (8080, 8080), groups: set(&["sg-balancer"]) };
    Ground {
        image: Some(Image { state: "available".to_owned(), architecture: "x86_64".to_owned() }),
        vcpus: ["t3.micro", "t3a.micro"].map(|kind| (kind.to_owned(), 2)).into(),
        quota: Some(64),
        profile: Some(Profile { role_path: Some("/tagship/instance/".to_owned()) }),
        types: ["t3.micro", "t3a.micro"].map(|kind| (kind.to_owned(), set(&["x86_64", "i386"]))).into(),
        subnets: ["subnet-a", "subnet-b"].map(|id| (id.to_owned(), "vpc-1".to_owned())).into(),
        walls: [("sg-1".to_owned(), Wall { vpc: "vpc-1".to_owned(), doors: vec![door] })].into(),
        before: set(&["sg-balancer"]),
        routed: set(&["subnet-a", "subnet-b"]),
        endpoints: BTreeSet::new(),
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Ground), errors: &[&str], warnings: &[&str]) {
    let mut ground = ground();
    change(&mut ground);
    let found = problems(&ground, &testing::settings(), &BTreeSet::from([8080]), "/tagship/instance/");
    for (found, expected) in [(&found.errors, errors), (&found.warnings, warnings)] {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }
}

fn door(ground: &mut Ground) -> &mut Door {
    &mut ground.walls.get_mut("sg-1").expect("a group").doors[0]
}

#[test]
fn each_fault_is_found_and_nothing_of_a_sound_ground() {
    check(|_| (), &[], &[]);
    check(|it| it.image = None, &["there is no ami-1"], &[]);
    check(|it| it.image.as_mut().expect("an image").state = "pending".to_owned(), &["ami-1 is pending"], &[]);
    let arm = |it: &mut Ground| it.image.as_mut().expect("an image").architecture = "arm64".to_owned();
    check(arm, &["t3.micro can't boot ami-1, which is for arm64", "t3a.micro can't boot"], &[]);
    check(|it| drop(it.types.remove("t3a.micro")), &["this Region has no t3a.micro"], &[]);
    check(|it| drop(it.subnets.remove("subnet-b")), &["there is no subnet-b"], &[]);
    let other = |it: &mut Ground| drop(it.subnets.insert("subnet-b".to_owned(), "vpc-2".to_owned()));
    check(other, &["its subnets are in vpc-1, vpc-2"], &[]);
    check(|it| it.walls.clear(), &["there is no sg-1"], &[]);
    let foreign = |it: &mut Ground| it.walls.get_mut("sg-1").expect("a group").vpc = "vpc-2".to_owned();
    check(foreign, &["sg-1 is in vpc-2, the subnets are in vpc-1"], &[]);
    let shut = "nothing lets the load balancer (sg-balancer) in to port 8080";
    check(|it| door(it).ports = (80, 80), &[shut], &[]);
    check(|it| door(it).groups = BTreeSet::from(["sg-other".to_owned()]), &[shut], &[]);
    check(|it| door(it).groups.clear(), &[], &[]);
    check(|it| it.before.clear(), &[], &[]);
    check(|it| it.routed.retain(|subnet| subnet != "subnet-a"), &[], &["1 subnet (subnet-a) without a default route"]);
    check(|it| it.profile = None, &["INSTANCE_PROFILE: there is no "], &[]);
    check(|it| it.profile = Some(Profile { role_path: None }), &["has no role"], &[]);
    let other = |it: &mut Ground| it.profile = Some(Profile { role_path: Some("/".to_owned()) });
    check(other, &["is on path /, and provision may pass roles on /tagship/instance/ alone"], &[]);
    check(|it| it.quota = Some(1), &["vCPUs, and this account may run 1 of"], &[]);
    check(|it| it.quota = None, &[], &[]);
    let inside = |it: &mut Ground| {
        it.routed.clear();
        it.endpoints.insert("vpc-1".to_owned());
    };
    check(inside, &[], &[]);
}
