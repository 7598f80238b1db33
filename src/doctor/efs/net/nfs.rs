//! Whether NFSv4.1 answers there: NULL and `EXCHANGE_ID` over the wire.
//!
//! The name that is told is one of chance, and it is taken back: the kernel's client, and what it
//! has locked, are not touched.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::goal::{self, Goal, goals};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::efs::greet::{Greeting, Hitch, Told, greet};
use crate::efs::reach::{self, Barrier};
use crate::efs::tls;
use crate::efs::wire::Rejection;

/// How long the server may be silent, for each call. There are three, a connection before them, and
/// perhaps a handshake.
const PATIENCE: Duration = Duration::from_millis(1100);

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Where.
    pub goal: Goal,
    /// Whether it was asked through TLS.
    pub encrypted: bool,
    /// What it said.
    pub end: End,
}

/// What it said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Nothing: no connection came about.
    Unreached(Barrier),
    /// Nothing: the connection could not be encrypted.
    NotEncrypted(tls::Hitch),
    /// This.
    Greeted(Greeting),
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let goal = goals(scene.asked, scene.observed)?.remove(0);
    let encrypted = super::tls::is_wanted(scene.asked);
    let address = SocketAddr::from((goal.address, scene.nfs_port));
    let name = goal::name(scene.asked, scene.observed);
    let end = ask(address, encrypted.then_some(name.as_str())).await;
    Ok(Seen { goal, encrypted, end })
}

/// Asks, through TLS if there is a name for it. Whether that is to be trusted is another check's.
async fn ask(address: SocketAddr, name: Option<&str>) -> End {
    let mut chance = [0; 16];
    if let Err(error) = getrandom::fill(&mut chance) {
        return End::Unreached(Barrier::Other(format!("there is no chance: {error}")));
    }
    let (mut stream, _) = match reach::connect(address, PATIENCE).await {
        Ok(connected) => connected,
        Err(barrier) => return End::Unreached(barrier),
    };
    let Some(name) = name else {
        return End::Greeted(greet(&mut stream, chance, PATIENCE).await);
    };
    match tls::shake(stream, name, &[], PATIENCE).await {
        Ok((mut stream, _)) => End::Greeted(greet(&mut stream, chance, PATIENCE).await),
        Err(hitch) => End::NotEncrypted(hitch),
    }
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let place = seen.goal.shown();
    let fail = |says: String| Finding::new(Id::Nfs.name(), Verdict::Fail, says);
    let skip = |says: String| Finding::new(Id::Nfs.name(), Verdict::Skip, says);
    match &seen.end {
        End::Unreached(_) => skip(format!("{place} took no connection a moment later"))
            .mended_by("hostkit efs check --only net.port"),
        End::NotEncrypted(_) => {
            skip(format!("{place} could not be asked through TLS: see net.tls"))
        }
        End::Greeted(Greeting { null: Err(hitch), .. }) => {
            let says = format!("{place} takes connections and does not speak NFS: {hitch}");
            mended(fail(says), hitch, case)
        }
        End::Greeted(Greeting { null: Ok(ms), exchange: Some(Ok(told)), left }) => {
            let finding = good(seen, told, *ms);
            match left {
                None => finding,
                Some(hitch) => finding.shown_by(format!(
                    "DESTROY_CLIENTID: {hitch}; the server forgets the name by itself"
                )),
            }
        }
        End::Greeted(Greeting { null: Ok(ms), exchange: Some(Err(hitch)), .. }) => {
            refused(seen, hitch, case).shown_by(format!("NULL: answered in {ms} ms"))
        }
        End::Greeted(Greeting { exchange: None, .. }) => skip(format!("{place} was not asked")),
    }
}

fn good(seen: &Seen, told: &Told, null: u64) -> Finding {
    let through = if seen.encrypted { ", through TLS" } else { "" };
    let server = &told.server;
    let says = format!(
        "{} speaks NFSv4.1{through}: NULL in {null} ms, EXCHANGE_ID in {} ms",
        seen.goal.shown(),
        told.ms
    );
    let made = server.implementation.as_deref().unwrap_or("not told");
    Finding::new(Id::Nfs.name(), Verdict::Pass, says)
        .shown_by(format!("server: {}, scope: {}", server.owner, server.scope))
        .shown_by(format!("implementation: {made}"))
}

/// It answers NULL and not what a client of 4.1 says first.
fn refused(seen: &Seen, hitch: &Hitch, case: &Case<'_>) -> Finding {
    let place = seen.goal.shown();
    let of = |verdict, says| Finding::new(Id::Nfs.name(), verdict, says);
    match hitch {
        Hitch::Rejected(rejection) if rejection.is_minor_version() => {
            of(Verdict::Fail, format!("{place} speaks NFSv4.0 only, not 4.1: this is not EFS"))
                .shown_by(format!("EXCHANGE_ID: {rejection}"))
                .mended_by(goal::describe_targets(case.asked))
        }
        Hitch::Rejected(rejection) if rejection.is_passing() => {
            of(Verdict::Warn, format!("{place} speaks NFSv4.1 and asks to wait: {rejection}"))
                .mended_by("wait a minute, then: hostkit efs check --only net.nfs")
        }
        hitch => {
            let says = format!("{place} answers NULL and not EXCHANGE_ID: {hitch}");
            mended(of(Verdict::Fail, says), hitch, case)
        }
    }
}

fn mended(finding: Finding, hitch: &Hitch, case: &Case<'_>) -> Finding {
    let asked = case.asked;
    match hitch {
        Hitch::Closed | Hitch::Silent(_) => finding
            .mended_by("the way there works, what is behind it does not: look at its state")
            .mended_by(format!(
                "aws efs describe-file-systems --file-system-id {} --region {}",
                asked.file_system, asked.region
            ))
            .mended_by(goal::describe_targets(asked)),
        Hitch::Alien(_) | Hitch::Rejected(Rejection::NoNfs | Rejection::Versions { .. }) => finding
            .mended_by("another service has this address: it is not this file system's")
            .mended_by(goal::describe_targets(asked)),
        Hitch::Rejected(_) => finding.mended_by(format!(
            "aws efs describe-file-system-policy --file-system-id {} --region {}",
            asked.file_system, asked.region
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::sample::{Sample, shown};
    use super::super::tls::tests::{Authority, encrypting, serve};
    use super::*;
    use crate::efs::wire::Server;

    /// How a server of a test answers: the number of the call, and the call.
    type Answer = fn(usize, &[u8]) -> Option<Vec<u8>>;

    /// The port of a server that answers so; one that has nothing to say closes.
    async fn server(answer: Answer) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(conversation(stream, answer));
            }
        });
        port
    }

    async fn conversation<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Answer) {
        for number in 0.. {
            let Ok(mark) = stream.read_u32().await else { return };
            let mut call = vec![0; (mark & 0x7fff_ffff) as usize];
            stream.read_exact(&mut call).await.unwrap();
            let Some(answer) = answer(number, &call) else { return };
            stream.write_all(&answer).await.unwrap();
        }
    }

    fn record(call: &[u8], words: &[u32]) -> Vec<u8> {
        let length = 0x8000_0000 + 4 + u32::try_from(words.len() * 4).unwrap();
        let words = words.iter().flat_map(|word| word.to_be_bytes());
        length.to_be_bytes().into_iter().chain(call[..4].iter().copied()).chain(words).collect()
    }

    const ACCEPTED: [u32; 5] = [1, 0, 0, 0, 0];

    fn null_only(call: &[u8]) -> Vec<u8> {
        record(call, &ACCEPTED)
    }

    fn status(call: &[u8], status: u32) -> Vec<u8> {
        record(call, &[&ACCEPTED[..], &[status, 0, 0]].concat())
    }

    async fn found(answer: Answer) -> Finding {
        let sample = Sample::on([Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST]);
        let seen = look(&sample.scene(server(answer).await)).await.unwrap();
        let finding = judge(&seen, &sample.case());
        let again: Seen = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
        assert_eq!(judge(&again, &sample.case()), finding);
        finding
    }

    #[tokio::test]
    async fn servers_that_are_no_efs_are_told_apart() {
        let old = found(|number, call| {
            Some(if number == 0 { null_only(call) } else { status(call, 10021) })
        });
        let waits = found(|number, call| {
            Some(if number == 0 { null_only(call) } else { status(call, 10008) })
        });
        let refuses = found(|number, call| {
            Some(if number == 0 { null_only(call) } else { status(call, 13) })
        });
        let closes = found(|_, _| None);
        let closes_later = found(|number, call| (number == 0).then(|| null_only(call)));
        let web = found(|_, _| Some(b"HTTP/1.1 400 Bad Request\r\n\r\nand a long text".to_vec()));
        let three = found(|_, call| Some(record(call, &[1, 0, 0, 0, 2, 3, 3])));
        let other = found(|_, call| Some(record(call, &[1, 0, 0, 0, 1])));
        let confused = found(|_, call| Some(record(&[&[9], &call[1..]].concat(), &ACCEPTED)));
        let mut text = String::new();
        for finding in [
            old.await,
            waits.await,
            refuses.await,
            closes.await,
            closes_later.await,
            web.await,
            three.await,
            other.await,
            confused.await,
        ] {
            // How long it took is nobody's business here.
            let mut finding = finding;
            for line in &mut finding.evidence {
                *line = line.split(" in ").next().unwrap_or_default().to_owned();
            }
            text += &shown(&finding);
        }
        insta::assert_snapshot!(text);
    }

    #[tokio::test]
    async fn a_server_that_is_silent_is_told_so_within_the_time_of_the_check() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sample = Sample::on([Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST]);
        let scene = sample.scene(listener.local_addr().unwrap().port());
        let seen = look(&scene).await.unwrap();
        let End::Greeted(greeting) = &seen.end else { panic!("{seen:?}") };
        assert_eq!(greeting.null, Err(Hitch::Silent(1100)));
        assert!(PATIENCE * 5 < Id::Nfs.check().deadline);
        let silent = shown(&judge(&seen, &sample.case()));
        drop(listener);
        let seen = look(&scene).await.unwrap();
        insta::assert_snapshot!([silent, shown(&judge(&seen, &sample.case()))].concat());
    }

    #[tokio::test]
    async fn where_the_host_encrypts_it_is_asked_through_tls_whoever_signed() {
        let authority = Authority::new("Authority");
        authority.sign("other.example", [-1, 20]);
        let acceptor = authority.acceptor();
        let port = serve(move |stream| {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.unwrap();
                conversation(stream, |_, call| Some(null_only(call))).await;
            });
        });
        let (sample, port) = (encrypting(), port.await);
        let seen = look(&sample.scene(port)).await.unwrap();
        let End::Greeted(greeting) = &seen.end else { panic!("{seen:?}") };
        assert!(greeting.null.is_ok() && seen.encrypted, "{seen:?}");
        let plain = server(|_, call| Some(null_only(call))).await;
        let seen = look(&sample.scene(plain)).await.unwrap();
        assert!(matches!(seen.end, End::NotEncrypted(_)), "{seen:?}");
        let finding = judge(&seen, &sample.case());
        assert_eq!(finding.verdict, Verdict::Skip);
        assert!(finding.says.ends_with("could not be asked through TLS: see net.tls"));
    }

    #[test]
    fn a_server_that_tells_who_it_is_passes() {
        let sample = Sample::default();
        let goal = goals(sample.asked(), &sample.observed).unwrap().remove(0);
        let server = Server {
            client: 7,
            owner: "fs-0123456789abcdef0".to_owned(),
            scope: "efs".to_owned(),
            implementation: Some("EFS of amazon.com".to_owned()),
        };
        let told = |left| {
            let exchange = Some(Ok(Told { server: server.clone(), ms: 2 }));
            End::Greeted(Greeting { null: Ok(1), exchange, left })
        };
        let mut text = String::new();
        for (encrypted, left) in [(false, None), (true, Some(Hitch::Closed))] {
            let seen = Seen { goal: goal.clone(), encrypted, end: told(left) };
            text += &shown(&judge(&seen, &sample.case()));
        }
        insta::assert_snapshot!(text);
    }
}
