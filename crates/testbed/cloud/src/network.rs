//! The VPC of one local cloud: a part of the loopback network that no other local cloud uses meanwhile.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The second octets of the VPCs: 127.16.0.0/16 to 127.31.0.0/16.
const OCTETS: std::ops::RangeInclusive<u8> = 16..=31;

/// Who listens here, outside of every subnet, has the VPC. Below the ephemeral ports.
const CLAIM_PORT: u16 = 26_716;

/// A VPC of one's own; given back when this is dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Network {
    octet: u8,
    _claim: TcpListener,
}

impl Network {
    /// Takes the first one that is free.
    ///
    /// # Errors
    ///
    /// All are taken, or the port is not to be had.
    pub fn claim() -> io::Result<Self> {
        let mut taken = None;
        for octet in OCTETS {
            match TcpListener::bind((Ipv4Addr::new(127, octet, 255, 254), CLAIM_PORT)) {
                Ok(claim) => return Ok(Self { octet, _claim: claim }),
                Err(error) => taken = Some(error),
            }
        }
        let reason = taken.map(|error| error.to_string()).unwrap_or_default();
        let message = format!("each VPC of 127.16.0.0/16 to 127.31.0.0/16 is taken by another local cloud: {reason}");
        Err(io::Error::new(io::ErrorKind::AddrInUse, message))
    }

    /// Its second octet: `16` is 127.16.0.0/16.
    pub fn octet(&self) -> u8 {
        self.octet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_is_not_given_twice() {
        let claims = [(); 3].map(|()| Network::claim().expect("a VPC"));
        let mut octets = claims.iter().map(Network::octet).collect::<Vec<_>>();
        octets.dedup();
        assert_eq!(octets.len(), 3, "{octets:?}");
        assert!(octets.iter().all(|octet| OCTETS.contains(octet)), "{octets:?}");
    }
}
