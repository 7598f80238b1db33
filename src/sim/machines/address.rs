//! Addresses of instances on this machine: each has a private and a public one of its own in
//! 127.77.0.0/16, which is the loopback interface.
//!
//! So `ssh admin@ADDRESS` reaches an instance as it would on AWS, and from no other machine. Where
//! the addresses begin is drawn by lot, because several rehearsal accounts may run side by side; an
//! address whose port 22 somebody has is passed over.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;

use super::super::random;
use crate::error::Fault;
use crate::sim::vm::machine::Door;
use crate::sim::vm::options::SSH_PORT;

/// What an instance's addresses lead to, beside SSH: where a Jenkins serves.
const HTTP_PORT: u16 = 8080;
/// Public addresses are 127.77.0.1 to 127.77.127.254, the private ones 128 further in the third
/// part.
const PRIVATE: u8 = 128;
/// How many addresses are tried for one instance before something else must be wrong.
const ATTEMPTS: usize = 50;

/// The addresses of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// What the instance itself knows.
    pub(super) private: Ipv4Addr,
    /// What the world sees.
    pub(super) public: Ipv4Addr,
}

impl Addresses {
    fn number(number: u16) -> Self {
        let number = number % (u16::from(PRIVATE) * 254);
        let [third, fourth] = [number / 254, number % 254 + 1].map(|part| part.to_le_bytes()[0]);
        Self {
            private: Ipv4Addr::new(127, 77, third + PRIVATE, fourth),
            public: Ipv4Addr::new(127, 77, third, fourth),
        }
    }
}

/// What leads into an instance that has these addresses: SSH, and port 8080 where nobody has it.
pub(super) fn doors(addresses: &[Ipv4Addr]) -> Vec<Door> {
    let all = |port| addresses.iter().map(move |address| Door { address: *address, port });
    all(SSH_PORT).chain(all(HTTP_PORT).filter(|door| can_bind(*door).is_ok())).collect()
}

/// Gives out addresses.
#[derive(Debug)]
pub(super) struct Pool {
    next: u16,
}

impl Pool {
    /// One that begins somewhere.
    pub(super) fn new() -> Self {
        let next = u16::from_str_radix(&random::hex(4), 16).expect("hexadecimal digits");
        Self { next }
    }

    /// Two addresses that nobody uses.
    ///
    /// # Errors
    /// Port 22 can be used at no loopback address: somebody serves it at all of them, or we may
    /// not.
    pub(super) fn take(&mut self) -> anyhow::Result<Addresses> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let addresses = Addresses::number(self.next);
            self.next = self.next.wrapping_add(1);
            let ssh = [addresses.private, addresses.public];
            let taken = ssh.map(|address| can_bind(Door { address, port: SSH_PORT }));
            match taken.into_iter().find_map(Result::err) {
                None => return Ok(addresses),
                Some(error) => last = Some(error),
            }
        }
        let fault = Fault::environment("no address is left for an instance: port 22 is taken").hint(
            "instances are reached at port 22 of addresses in 127.77.0.0/16: it needs root, and a \
             server at 0.0.0.0:22 must be bound to its own address instead (`ListenAddress` of sshd)",
        );
        Err(anyhow::anyhow!(last.expect("there was an attempt"))).context(fault)
    }
}

fn can_bind(door: Door) -> std::io::Result<()> {
    TcpListener::bind((door.address, door.port)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_two_addresses_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..u16::from(PRIVATE) * 254 {
            let Addresses { private, public } = Addresses::number(number);
            for address in [private, public] {
                assert!(seen.insert(address), "{address} was given twice");
                assert!(![0, 255].contains(&address.octets()[3]), "{address}");
            }
        }
        assert_eq!(Addresses::number(0), Addresses::number(u16::from(PRIVATE) * 254));
    }
}
