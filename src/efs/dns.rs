//! A question to one resolver, asked by ourselves: what the system's resolver makes of an answer, a
//! refusal and silence is the same to whoever asks it, and each has its own cure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::reach::milliseconds;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those of version 4.
    A,
    /// Those of version 6.
    Aaaa,
}

/// What a resolver says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// These addresses, at least one.
    Addresses(Vec<IpAddr>),
    /// There is no such name: NXDOMAIN.
    NoName,
    /// There is the name, and it has no address of this kind.
    NoAddress,
    /// It could not find out: SERVFAIL, REFUSED or another code.
    Failed(String),
    /// Nothing came within so many milliseconds, by UDP and by TCP.
    Silent(u64),
    /// Nobody is there, in the kernel's words.
    Unreached(String),
    /// What came is no answer.
    Garbage(String),
}

/// Asks `resolver`. It is asked twice by UDP, a third of `patience` each, and then by TCP; by TCP at
/// once where the answer is too long for UDP.
pub async fn ask(resolver: SocketAddr, name: &str, kind: Kind, patience: Duration) -> Answer {
    let id = fastrand::u16(..);
    let question = match question(id, name, kind) {
        Ok(question) => question,
        Err(error) => return Answer::Garbage(format!("{name} is no name: {error}")),
    };
    let pause = patience / 3;
    for _ in 0..2 {
        match timeout(pause, by_udp(resolver, id, &question)).await {
            Ok(Ok(Reply::Whole(answer))) => return answer,
            Ok(Ok(Reply::Truncated)) => break,
            Ok(Err(error)) => return Answer::Unreached(error.to_string()),
            Err(_) => {}
        }
    }
    match timeout(pause, by_tcp(resolver, id, &question)).await {
        Ok(Ok(answer)) => answer,
        // By UDP it was silent, which says more than that it has no TCP.
        Ok(Err(_)) | Err(_) => Answer::Silent(milliseconds(patience)),
    }
}

fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let kind = match kind {
        Kind::A => TYPE::A,
        Kind::Aaaa => TYPE::AAAA,
    };
    let (kind, class) = (QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(Name::new(name)?, kind, class, false));
    packet.build_bytes_vec()
}

/// What came by UDP.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Whole(Answer),
    /// The rest of it is to be had by TCP.
    Truncated,
}

async fn by_udp(resolver: SocketAddr, id: u16, question: &[u8]) -> io::Result<Reply> {
    let any: IpAddr = match resolver {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    // From nobody else is anything taken.
    socket.connect(resolver).await?;
    socket.send(question).await?;
    let mut answer = [0; 4096];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answer[..length].starts_with(&id.to_be_bytes()) {
            return Ok(read(id, &answer[..length]));
        }
    }
}

async fn by_tcp(resolver: SocketAddr, id: u16, question: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(question.len()).expect("a name is shorter than 256 bytes");
    stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(match read(id, &answer) {
        Reply::Whole(answer) => answer,
        Reply::Truncated => Answer::Garbage("it is cut off even by TCP".to_owned()),
    })
}

fn read(id: u16, bytes: &[u8]) -> Reply {
    let garbage = |why: String| Reply::Whole(Answer::Garbage(why));
    let packet = match Packet::parse(bytes) {
        Ok(packet) => packet,
        Err(error) => return garbage(error.to_string()),
    };
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return garbage("it is no answer to the question".to_owned());
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Reply::Truncated;
    }
    Reply::Whole(match packet.rcode() {
        RCODE::NoError => addresses(&packet),
        RCODE::NameError => Answer::NoName,
        RCODE::ServerFailure => Answer::Failed("SERVFAIL".to_owned()),
        RCODE::Refused => Answer::Failed("REFUSED".to_owned()),
        other => Answer::Failed(format!("{other:?}")),
    })
}

fn addresses(packet: &Packet<'_>) -> Answer {
    let mut all: Vec<IpAddr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
            RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() { Answer::NoAddress } else { Answer::Addresses(all) }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::A;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(15);
    const NAME: &str = "fs-1.efs.eu-west-1.amazonaws.com.";

    /// How a resolver of a test behaves.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Manner {
        /// Every name has this address.
        Address(Ipv4Addr),
        Code(RCODE),
        Empty,
        Silent,
        /// By UDP there is only the beginning.
        Truncated(Ipv4Addr),
        Garbage,
    }

    /// A resolver, as long as the test runs.
    pub(crate) async fn resolver(manner: Manner) -> SocketAddr {
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut question).await {
                if let Some(answer) = answer(manner, &question[..length], true) {
                    udp.send_to(&answer, from).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut question).await.unwrap();
                match answer(manner, &question, false) {
                    Some(answer) => {
                        stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                    None => std::mem::forget(stream),
                }
            }
        });
        address
    }

    fn answer(manner: Manner, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        let asked = Packet::parse(question).unwrap();
        let name = asked.questions[0].qname.clone();
        let for_a = asked.questions[0].qtype == QTYPE::TYPE(TYPE::A);
        let mut packet = asked.clone().into_reply();
        let mut say = |address: Ipv4Addr| {
            let data = RData::A(A { address: address.into() });
            packet.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, 60, data));
        };
        match manner {
            Manner::Address(address) if for_a => say(address),
            Manner::Truncated(address) if for_a && !udp => say(address),
            Manner::Truncated(_) if udp => packet.set_flags(PacketFlag::TRUNCATION),
            Manner::Address(_) | Manner::Truncated(_) | Manner::Empty => {}
            Manner::Code(code) => *packet.rcode_mut() = code,
            Manner::Silent => return None,
            Manner::Garbage => {
                let mut bytes = question.to_vec();
                bytes.truncate(14);
                return Some(bytes);
            }
        }
        Some(packet.build_bytes_vec().unwrap())
    }

    #[tokio::test]
    async fn every_answer_is_told_apart() {
        let address = Ipv4Addr::new(10, 0, 1, 100);
        let found = Answer::Addresses(vec![address.into()]);
        for (manner, expected) in [
            (Manner::Address(address), found.clone()),
            (Manner::Truncated(address), found),
            (Manner::Code(RCODE::NameError), Answer::NoName),
            (Manner::Code(RCODE::ServerFailure), Answer::Failed("SERVFAIL".to_owned())),
            (Manner::Code(RCODE::Refused), Answer::Failed("REFUSED".to_owned())),
            (Manner::Empty, Answer::NoAddress),
        ] {
            assert_eq!(ask(resolver(manner).await, NAME, Kind::A, PATIENCE).await, expected);
        }
        let six = ask(resolver(Manner::Address(address)).await, NAME, Kind::Aaaa, PATIENCE).await;
        assert_eq!(six, Answer::NoAddress);
        let garbage = ask(resolver(Manner::Garbage).await, NAME, Kind::A, PATIENCE).await;
        assert!(matches!(garbage, Answer::Garbage(_)), "{garbage:?}");
    }

    #[tokio::test]
    async fn a_resolver_that_is_silent_is_told_from_one_that_is_not_there() {
        let short = Duration::from_millis(300);
        let silent = ask(resolver(Manner::Silent).await, NAME, Kind::A, short).await;
        assert_eq!(silent, Answer::Silent(300));
        let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let gone = ask(nobody, NAME, Kind::A, PATIENCE).await;
        assert!(matches!(gone, Answer::Unreached(_)), "{gone:?}");
        let endless = ask(nobody, &"x".repeat(70), Kind::A, PATIENCE).await;
        assert!(matches!(endless, Answer::Garbage(_)), "{endless:?}");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_answer_or_garbage(
            id: u16, flags: u16, bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let whole = [&id.to_be_bytes()[..], &flags.to_be_bytes(), &bytes].concat();
            if let Reply::Whole(Answer::Addresses(all)) = read(id, &whole) {
                prop_assert!(!all.is_empty());
            }
            let _ = read(id, &bytes);
        }
    }
}
