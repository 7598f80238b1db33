//! By which way the kernel would send packets to an address: the question of `ip route get`, asked
//! without a program. Nothing is sent to anybody but the kernel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{recv, send, socket};

/// A way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Through which device packets leave.
    pub device: String,
    /// The address that they come from.
    pub source: Option<IpAddr>,
    /// The router that takes them first; nothing where the address is on the same link.
    pub gateway: Option<IpAddr>,
    /// Whether the address is one of this machine's own.
    pub own: bool,
}

/// The way to `address`.
///
/// # Errors
/// There is none, with the kernel's reason; or it cannot be asked.
pub fn to(address: IpAddr) -> io::Result<Way> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    send(kernel.as_raw_fd(), &question(address), MsgFlags::empty())?;
    let mut answer = [0; 8192];
    // It has answered before `send` returns, or never will.
    let length = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    let found = read(&answer[..length])?;
    let name = if_indextoname(found.device)?;
    Ok(Way {
        device: name.to_string_lossy().into_owned(),
        source: found.source,
        gateway: found.gateway,
        own: found.own,
    })
}

// Numbers of the kernel's protocol, see linux/netlink.h and linux/rtnetlink.h.
const ERROR: u16 = 2;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const REQUEST: u16 = 1;
const HEADER: usize = 16;
const ROUTE: usize = 12;
const DESTINATION: u16 = 1;
const DEVICE: u16 = 4;
const GATEWAY: u16 = 5;
const SOURCE: u16 = 7;
const LOCAL: u8 = 2;

fn question(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(four) => (AddressFamily::Inet, four.octets().to_vec()),
        IpAddr::V6(six) => (AddressFamily::Inet6, six.octets().to_vec()),
    };
    let size = |length: usize| u16::try_from(length).expect("an address has 16 bytes at most");
    let attribute = 4 + bytes.len();
    let mut message = Vec::new();
    message.extend(u32::from(size(HEADER + ROUTE + attribute)).to_ne_bytes());
    message.extend(GET_ROUTE.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    let bits = u8::try_from(bytes.len() * 8).expect("an address has 128 bits at most");
    let family = u8::try_from(family as i32).expect("families are small numbers");
    message.extend([family, bits, 0, 0, 0, 0, 0, 0]);
    message.extend([0; 4]);
    message.extend(size(attribute).to_ne_bytes());
    message.extend(DESTINATION.to_ne_bytes());
    message.extend(bytes);
    message
}

/// As the kernel writes it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    device: u32,
    source: Option<IpAddr>,
    gateway: Option<IpAddr>,
    own: bool,
}

fn read(message: &[u8]) -> io::Result<Found> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is no route");
    let body = message.get(HEADER..).ok_or_else(odd)?;
    let kind = u16::from_ne_bytes(*message[4..].first_chunk().ok_or_else(odd)?);
    if kind == ERROR {
        let error = i32::from_ne_bytes(*body.first_chunk().ok_or_else(odd)?);
        return Err(Errno::from_raw(error.saturating_neg()).into());
    }
    let kind_of_route = *body.get(7).ok_or_else(odd)?;
    let mut rest = body.get(ROUTE..).ok_or_else(odd)?;
    if kind != NEW_ROUTE {
        return Err(odd());
    }
    let mut device = None;
    let (mut source, mut gateway) = (None, None);
    while let Some((&[low, high, what, sort], _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let value = rest.get(4..length).ok_or_else(odd)?;
        match u16::from_ne_bytes([what, sort]) {
            DEVICE => device = value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)),
            GATEWAY => gateway = address(value),
            SOURCE => source = address(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let device = device.ok_or_else(odd)?;
    Ok(Found { device, source, gateway, own: kind_of_route == LOCAL })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk()?).into()),
        16 => Some(Ipv6Addr::from(*bytes.first_chunk()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_machine_finds_itself() {
        let way = to(Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_eq!((way.device.as_str(), way.gateway, way.own), ("lo", None, true));
        assert_eq!(way.source, Some(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn what_the_kernel_refuses_has_its_reason() {
        let mut message = vec![0; HEADER];
        message[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        message.extend((-nix::libc::ENETUNREACH).to_ne_bytes());
        let error = read(&message).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200), is_route: bool,
        ) {
            let mut bytes = bytes;
            if is_route && bytes.len() > 6 {
                bytes[4..6].copy_from_slice(&NEW_ROUTE.to_ne_bytes());
            }
            if let Ok(found) = read(&bytes) {
                prop_assert!(bytes.len() >= HEADER + ROUTE, "{found:?}");
            }
        }
    }
}
