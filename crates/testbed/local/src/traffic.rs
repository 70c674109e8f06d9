//! What people's requests pass: names, the load balancer and its health checks; and the load that measures them.

pub mod balancer;
pub mod dns;
pub mod load;
pub mod probe;
