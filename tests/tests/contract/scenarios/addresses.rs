//! Elastic IP addresses and names.

use crate::scenario::{
    Act, Move, NOBODY, PORT, Scenario, associate, delete, disassociate, release_address, stop, terminate, upsert,
};
use serde_json::{Value, json};
use tagship::Record;

pub(crate) fn all() -> Vec<Scenario> {
    vec![own(), formerly(), pool(), names(), by_name_only()]
}

/// Allocated for the release, and released with it.
fn own() -> Scenario {
    Scenario::new("ADDRESSES", json!({"EIP": true}), &["r1", "r2"], |steps| {
        vec![
            steps.take("r1"),
            steps.launch("r1", "subnet-a", 3, "first"),
            Move::Act(Act::Quota(3)),
            steps.allocate("r1"),
            associate("address1", "instance1"),
            Move::Act(Act::Boot),
            associate("address1", NOBODY),
            associate("eipalloc-0123456789abcdef0", "instance1"),
            associate("address1", "instance1"),
            associate("address1", "instance1"),
            associate("address1", "instance2"),
            steps.allocate("r1"),
            associate("address2", "instance1"),
            associate("address2", "instance2"),
            Move::Act(Act::Look),
            release_address("address2"),
            disassociate("address2", "association1"),
            disassociate("address2", "association2"),
            disassociate("address2", "association2"),
            release_address("address2"),
            release_address("address2"),
            associate("address2", "instance2"),
            steps.allocate("r1"),
            steps.allocate("r1"),
            steps.allocate("r1"),
            stop("instance3"),
            Move::Act(Act::Settle),
            associate("address3", "instance3"),
            terminate("instance1"),
            associate("address4", "instance1"),
            Move::Act(Act::Settle),
            associate("address4", "instance1"),
            Move::Act(Act::Look),
        ]
    })
}

/// Whoever removes a release sees its own addresses, even if the settings ask for none any more.
fn formerly() -> Scenario {
    Scenario::new("FORMERLY", Value::Null, &["r1", "r2"], |steps| {
        vec![steps.take("r1"), steps.allocate("r0"), Move::Act(Act::Look), release_address("address1")]
    })
}

/// Borrowed and given back.
fn pool() -> Scenario {
    Scenario::new("POOL", json!({"EIP": "tag:tagship:service=POOL", "COUNT": 1}), &["r1", "r2"], |steps| {
        vec![
            Move::Act(Act::Look),
            steps.take("r1"),
            steps.launch("r1", "subnet-a", 1, "first"),
            Move::Act(Act::Boot),
            associate("address2", "instance1"),
            disassociate("address2", "association1"),
            associate("address1", "instance1"),
            Move::Act(Act::Die("instance1")),
        ]
    })
}

/// A batch is a transaction; a delete names exactly what is there.
fn names() -> Scenario {
    Scenario::new("NAMES", Value::Null, &["r1", "r2"], |steps| {
        let record = |name, ips| steps.record(name, ips);
        let one = record("1.candidate", "ip1");
        vec![
            steps.take("r1"),
            steps.launch("r1", "subnet-a", 2, "first"),
            steps.names(vec![upsert(record("candidate", "ip1 ip2")), upsert(one.clone())]),
            steps.names(vec![upsert(record("candidate", "ip2")), upsert(record("live", "ip1"))]),
            steps.names(vec![delete(record("candidate", "ip1 ip2"))]),
            steps.names(vec![upsert(record("2.candidate", "ip2")), delete(record("1.live", "ip1"))]),
            steps.names(vec![delete(Record { ttl: 300, ..one.clone() })]),
            steps.names(vec![delete(one.clone()), upsert(record("candidate", "ip2 ip1"))]),
            steps.names(vec![delete(one)]),
            steps.names(vec![delete(record("candidate", "ip1 ip2"))]),
            Move::Act(Act::Look),
        ]
    })
}

/// A service without a load balancer.
fn by_name_only() -> Scenario {
    Scenario::new("WORKER", json!({"TARGET_GROUP": "none", "COUNT": 1, "PORT": PORT}), &["r1", "r2"], |steps| {
        vec![
            Move::Act(Act::Look),
            steps.take("r1"),
            steps.launch("r1", "subnet-a", 1, "first"),
            Move::Act(Act::Boot),
            steps.names(vec![upsert(steps.record("live", "ip1"))]),
            Move::Act(Act::Look),
            terminate("instance1"),
            Move::Act(Act::Settle),
            Move::Act(Act::Look),
        ]
    })
}
