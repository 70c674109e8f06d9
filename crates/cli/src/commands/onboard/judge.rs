//! Whether a new service fits where it is to stand: all that is wrong, at once.

use super::answers::{Answers, is_host, is_pipeline};
use std::collections::BTreeSet;
use tagship::{ServiceRole, listed};
use tagship_aws::Site;

/// The places that a listener has for rules.
const PLACES: std::ops::RangeInclusive<u32> = 1..=50_000;
/// Host names that a rule takes together with its other conditions.
const HOSTS_MAX: usize = 5;
/// Between two places that are given by themselves, for rules that come later.
const STEP: u32 = 10;

/// The first place, in steps, that is free on all listeners.
pub(super) fn free_place(site: &Site) -> Option<u32> {
    let taken: BTreeSet<u32> = site.listeners.iter().flat_map(|it| &it.rules).map(|(place, _)| *place).collect();
    PLACES.map(|index| index.saturating_mul(STEP)).take_while(|it| PLACES.contains(it)).find(|it| !taken.contains(it))
}

/// What is wrong with the answers, held against what there is.
pub(super) fn problems(answers: &Answers, site: &Site) -> Vec<String> {
    let mut problems = Vec::new();
    names(answers, &mut problems);
    listeners(site, &mut problems);
    rules(answers, site, &mut problems);
    subnets(answers, site, &mut problems);
    problems
}

fn names(answers: &Answers, problems: &mut Vec<String>) {
    if let Some(pipeline) = answers.pipeline.as_deref().filter(|name| !is_pipeline(name)) {
        problems.push(format!(
            "pipeline {pipeline}: 2 to 20 characters, lower-case letters, digits and dashes, a letter first"
        ));
    }
    if let Some(Err(why)) = answers.pre_product.clone().map(ServiceRole::try_from) {
        problems.push(format!("pre-product: {why}"));
    }
    if answers.host.len() > HOSTS_MAX {
        problems.push(format!("host: {} names, a rule takes {HOSTS_MAX}", answers.host.len()));
    }
    problems
        .extend(answers.host.iter().filter(|host| !is_host(host)).map(|host| format!("host {host} is no host name")));
}

fn listeners(site: &Site, problems: &mut Vec<String>) {
    if site.balancers.len() > 1 {
        let names = listed(site.balancers.iter().map(String::as_str));
        problems.push(format!("listener: they are on {names}: a service is on one load balancer"));
    }
    let mut seen = BTreeSet::new();
    for listener in &site.listeners {
        let (arn, protocol) = (&listener.arn, listener.protocol.as_str());
        if !matches!(protocol, "HTTP" | "HTTPS") {
            problems.push(format!("listener {arn} is for {protocol}: an Application Load Balancer's is needed"));
        } else if !seen.insert(protocol) {
            problems.push(format!(
                "listener {arn}: a second one for {protocol}; infra/service.yaml has a rule on one of each"
            ));
        }
        if listener.redirects {
            problems.push(format!(
                "listener {arn} sends everything to HTTPS, and a rule there would come first: leave it out, and give the \
                 HTTPS listener alone"
            ));
        }
    }
    if site.groups.is_empty() && problems.is_empty() {
        problems.push("the load balancer has no security group, which the instances would let in".to_owned());
    }
}

fn rules(answers: &Answers, site: &Site, problems: &mut Vec<String>) {
    for listener in &site.listeners {
        for (place, hosts) in &listener.rules {
            if answers.priority == Some(*place) {
                problems.push(format!("priority {place} is taken on listener {}: leave --priority out", listener.arn));
            } else if answers.priority.is_none()
                && let Some(host) = answers.host.iter().find(|host| hosts.contains(host))
            {
                problems.push(format!(
                    "host {host} has rule {place} on listener {} already, and whichever comes first gets the requests: \
                     correct --host, or choose with --priority",
                    listener.arn
                ));
            }
        }
    }
    match answers.priority {
        Some(place) if !PLACES.contains(&place) => problems.push(format!("priority {place}: 1 to 50000")),
        None if free_place(site).is_none() => {
            problems.push("no place for a rule is free: choose with --priority".to_owned())
        }
        _ => {}
    }
}

fn subnets(answers: &Answers, site: &Site, problems: &mut Vec<String>) {
    let fit = || site.subnets.iter().filter(|it| site.zones.contains(&it.zone)).map(|it| it.id.as_str());
    for id in &answers.subnet {
        match site.subnets.iter().find(|it| it.id == *id) {
            None => problems.push(format!(
                "subnet {id} isn't in {}, the load balancer's VPC; there: {}",
                site.vpc,
                listed(fit())
            )),
            Some(subnet) if !site.zones.contains(&subnet.zone) => problems.push(format!(
                "subnet {id} is in {}, which isn't enabled on the load balancer: enable it, or choose among {}",
                subnet.zone,
                listed(fit())
            )),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagship_aws::{Listener, Subnet};

    fn site() -> Site {
        let subnet = |id: &str, zone: &str| Subnet { id: id.to_owned(), zone: zone.to_owned(), words: String::new() };
        let listener = |protocol: &str| Listener {
            arn: format!("arn:{protocol}"),
            protocol: protocol.to_owned(),
            redirects: false,
            rules: vec![(10, vec!["shop.example.com".to_owned()])],
        };
        Site {
            listeners: vec![listener("HTTPS"), listener("HTTP")],
            balancers: ["company".to_owned()].into(),
            vpc: "vpc-1".to_owned(),
            groups: vec!["sg-1".to_owned()],
            zones: ["a".to_owned(), "b".to_owned()].into(),
            subnets: vec![subnet("subnet-a", "a"), subnet("subnet-b", "b"), subnet("subnet-c", "c")],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Answers, &mut Site), expected: &[&str]) {
        let mut answers = Answers {
            host: vec!["web.example.com".to_owned()],
            subnet: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
            pipeline: Some("web".to_owned()),
            ..Answers::default()
        };
        let mut site = site();
        change(&mut answers, &mut site);
        let found = problems(&answers, &site);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn each_problem_is_told_and_none_of_what_fits() {
        check(|_, _| (), &[]);
        check(|it, _| it.pipeline = Some("A-pipeline-with-a-long-name".to_owned()), &["2 to 20 characters"]);
        check(|it, _| it.pre_product = Some("a b".to_owned()), &["pre-product: "]);
        check(|it, _| it.host = vec!["web".to_owned()], &["web is no host name"]);
        check(|it, _| it.host = vec!["w.example.com".to_owned(); 6], &["6 names, a rule takes 5"]);
        check(|_, it| it.balancers.extend(["other".to_owned()]), &["company, other: a service is on one"]);
        check(|_, it| it.listeners[0].protocol = "TCP".to_owned(), &["is for TCP"]);
        check(|_, it| it.listeners[0].protocol = "HTTP".to_owned(), &["a second one for HTTP"]);
        check(|_, it| it.listeners[1].redirects = true, &["sends everything to HTTPS"]);
        check(|_, it| it.groups.clear(), &["has no security group"]);
        check(|it, _| it.priority = Some(10), &["taken on listener arn:HTTPS", "taken on listener arn:HTTP"]);
        check(|it, _| it.priority = Some(60_000), &["1 to 50000"]);
        let shop = "shop.example.com has rule 10";
        check(|it, _| it.host = vec!["shop.example.com".to_owned()], &[shop, shop]);
        check(
            |it, _| it.subnet = vec!["subnet-x".to_owned()],
            &["isn't in vpc-1, the load balancer's VPC; there: subnet-a, subnet-b"],
        );
        check(|it, _| it.subnet = vec!["subnet-c".to_owned()], &["isn't enabled on the load balancer"]);
    }

    #[test]
    fn the_first_free_place_is_free_on_all_listeners() {
        let mut site = site();
        assert_eq!(free_place(&site), Some(20));
        site.listeners[1].rules.push((20, Vec::new()));
        assert_eq!(free_place(&site), Some(30));
    }
}
