//! A fleet that doesn't fit its load balancer.

use super::*;

#[test]
fn a_fleet_that_does_not_fit_its_balancer_is_not_launched() {
    fn fits(change: impl FnOnce(&mut Case, &mut Balancer), expected: &str) {
        check(
            |case| {
                case.holding = Holding::default();
                let text = |text: &str| text.to_owned();
                let mut balancer = Balancer {
                    zones: ["one", "two"].map(text).into(),
                    subnets: [("subnet-a", "one"), ("subnet-b", "two")].map(|(id, zone)| (text(id), text(zone))).into(),
                    targets: Some(4),
                    sticky: Vec::new(),
                };
                change(case, &mut balancer);
                case.world.balancer = Some(balancer);
            },
            expected,
        );
    }
    let steps = |case: &mut Case| {
        let settings = &mut case.world.offer.as_mut().expect("an offer").settings;
        settings.shift.steps = vec![ShiftStep { percent: 10, bake_secs: 60 }];
    };
    fits(|_, _| {}, "do: take the hold");
    fits(
        |_, balancer| balancer.zones = ["one".to_owned()].into(),
        "fail: the fleet doesn't fit its load balancer:\n- SUBNET: subnet-b (two) is in a zone that the load balancer hasn't \
         enabled (it has one), so",
    );
    fits(
        |_, balancer| balancer.zones = ["three".to_owned()].into(),
        "fail: the fleet doesn't fit its load balancer:\n- SUBNET: subnet-a (one), subnet-b (two) are in a zone",
    );
    // Two live targets, and two instances to come.
    fits(
        |_, balancer| balancer.targets = Some(3),
        "fail: the fleet doesn't fit its load balancer:\n- COUNT: 2 instances beside the pair's 2 targets are more than the 3 \
         targets that",
    );
    fits(|_, balancer| balancer.targets = None, "do: take the hold");
    fits(|_, balancer| balancer.sticky = vec!["web-a".to_owned()], "do: take the hold");
    fits(
        |case, balancer| {
            steps(case);
            balancer.sticky = vec!["web-a".to_owned()];
        },
        "fail: the fleet doesn't fit its load balancer:\n- SHIFT: target group web-a has stickiness of its own",
    );
    fits(
        |case, balancer| {
            steps(case);
            *balancer = Balancer { targets: Some(1), sticky: vec!["web-a".to_owned()], ..balancer.clone() };
        },
        "fail: the fleet doesn't fit its load balancer:\n- COUNT: …AllAtOnce",
    );
}
