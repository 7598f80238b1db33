//! The connections of this machine, as `/proc/net/tcp` and `tcp6` list them, read.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is up.
    Established,
    /// Somebody waits for connections.
    Listen,
    /// It is being made, and nobody has answered.
    SynSent,
    /// The other side has ended it, and the program on this side has not noticed.
    CloseWait,
    /// It is about to be gone.
    Closing,
}

impl State {
    /// As `ss` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTAB",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "closing",
        }
    }

    fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Established,
            2 => Self::SynSent,
            8 => Self::CloseWait,
            10 => Self::Listen,
            3..=11 => Self::Closing,
            _ => return None,
        })
    }
}

/// A connection, or somebody who waits for some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// This side.
    pub local: SocketAddr,
    /// The other; nobody for who listens.
    pub remote: SocketAddr,
    /// How it is.
    pub state: State,
    /// Bytes that the other side has not confirmed.
    pub unsent: u64,
    /// Bytes that came and nobody has read; for who listens, connections that nobody has taken.
    pub unread: u64,
}

impl Socket {
    /// In a line, as `ss` has it.
    pub fn shown(&self) -> String {
        let Self { local, remote, state, unsent, unread } = self;
        let state = state.name();
        format!("{state} {local} -> {remote}, {unread} unread, {unsent} not confirmed")
    }
}

/// All of them, below `root`. A list that is not there has none.
pub fn read(root: &Utf8Path) -> Vec<Socket> {
    let of = |name: &str| fs::read_to_string(root.join("proc/net").join(name)).unwrap_or_default();
    [of("tcp"), of("tcp6")].iter().flat_map(|text| parse(text)).collect()
}

/// Reads one of the two lists. A line that cannot be read is left out, as the head is.
pub fn parse(text: &str) -> Vec<Socket> {
    text.lines().filter_map(line).collect()
}

/// `0: 0100007F:4E51 0100007F:C350 01 00000000:00000000 …`
fn line(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
    let state = State::of(u8::from_str_radix(words.next()?, 16).ok()?)?;
    let (unsent, unread) = words.next()?.split_once(':')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    Some(Socket { local, remote, state, unsent: number(unsent)?, unread: number(unread)? })
}

/// The kernel writes each word of an address as the number that it has in memory.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !address.is_ascii() {
        return None;
    }
    let word = |from: usize| {
        let word = u32::from_str_radix(address.get(from..from + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?);
            }
            // One that is of version 4 in truth is shown so.
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E51 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1456 1 000000002cad22fe 100 0 0 10 0
   1: 0100007F:02BC 0100007F:4E51 01 00000010:00000000 00:00000000 00000000     0        0 1457 1 000000002cad22fe 100 0 0 10 0
   2: 0F01000A:C350 0901000A:0801 08 00000000:00000001 00:00000000 00000000     0        0 1458 1 000000002cad22fe 100 0 0 10 0
";
    const TCP6: &str = "   0: 0000000000000000FFFF00000100007F:1F90 B80D01200000000067452301EFCDAB89:0801 02 00000000:00000000 00:0 0 0 0 1";

    #[test]
    fn connections_of_both_versions_are_read() {
        let all = parse(TCP);
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].local.port(), all[0].state, all[0].unread), (20049, State::Listen, 3));
        assert_eq!(all[1].remote.to_string(), "127.0.0.1:20049");
        let shown = "CLOSE-WAIT 10.0.1.15:50000 -> 10.0.1.9:2049, 1 unread, 0 not confirmed";
        assert_eq!(all[2].shown(), shown);
        let [socket] = parse(TCP6)[..] else { panic!("one") };
        assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
        assert_eq!(socket.remote.to_string(), "[2001:db8::123:4567:89ab:cdef]:2049");
        assert_eq!(socket.state, State::SynSent);
    }

    proptest! {
        #[test]
        fn whatever_it_is_given_it_ends(text in "\\PC*", length in 0..TCP.len()) {
            parse(&text);
            prop_assert!(parse(&TCP[..length]).len() <= 3);
        }
    }
}
