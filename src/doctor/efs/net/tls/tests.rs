//! Real servers with certificates that the openssl program has made for the test.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::doctor::efs::net::sample::{Sample, shown};

const NAME: &str = "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com";
const DEBIAN: &str = "etc/ssl/certs/ca-certificates.crt";

/// An authority of the test, and what it signs.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out \
             ca.crt -days 30 -subj /CN=Authority",
        );
        authority
    }

    fn openssl(&self, arguments: &str) {
        let mut command = assert_cmd::Command::new("openssl");
        command.current_dir(&self.0).args(arguments.split_whitespace()).assert().success();
    }

    /// A certificate for this name, signed, good for so many days.
    fn sign(&self, name: &str, days: i32) {
        let extensions = format!("subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(self.0.path().join("x.ext"), extensions).unwrap();
        self.openssl(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout x.key -out x.csr \
             -subj /CN=x",
        );
        self.openssl(&format!(
            "x509 -req -in x.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile x.ext -out \
             x.crt -days {days}"
        ));
    }

    /// The port of a server that shows what was signed last.
    async fn serve(&self) -> u16 {
        let file = |name: &str| self.0.path().join(name);
        let chain = CertificateDer::pem_file_iter(file("x.crt")).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(file("x.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        serve(move |stream| {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0]).await;
                }
            });
        })
        .await
    }

    /// A host that wants TLS and trusts this authority by its list at `path`.
    fn trusted_at(&self, path: &str) -> Sample {
        let text = std::fs::read_to_string(self.0.path().join("ca.crt")).unwrap();
        encrypting().file(path, &text)
    }
}

fn encrypting() -> Sample {
    let mut sample = Sample::on([Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST]);
    sample.asked.host.as_mut().unwrap().efs.tls = true;
    sample
}

async fn serve(each: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            each(stream);
        }
    });
    port
}

async fn found(sample: &Sample, port: u16) -> Finding {
    let seen = look(&sample.scene(port)).await.unwrap();
    let again: Seen = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
    let mut case = sample.case();
    // The certificates are of today.
    case.now = jiff::Timestamp::now();
    assert_eq!(judge(&again, &case), judge(&seen, &case));
    judge(&seen, &case)
}

#[tokio::test]
async fn a_certificate_that_is_good_passes_by_either_list() {
    let authority = Authority::new();
    authority.sign(NAME, 20);
    let port = authority.serve().await;
    for path in [DEBIAN, "etc/pki/tls/certs/ca-bundle.crt", "etc/amazon/efs/efs-utils.crt"] {
        let finding = found(&authority.trusted_at(path), port).await;
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        assert!(finding.says.contains("19 days are left"), "{}", finding.says);
        assert!(finding.says.contains("TLSv1_3"), "{}", finding.says);
        assert_eq!(finding.evidence[2], format!("/{path}: 1 authorities"));
    }
    authority.sign(NAME, 3);
    let soon = found(&authority.trusted_at(DEBIAN), authority.serve().await).await;
    assert_eq!(soon.verdict, Verdict::Warn, "{soon:?}");
    assert!(soon.says.ends_with("good for 2 days more"), "{}", soon.says);
}

#[tokio::test]
async fn certificates_that_are_not_good_are_told_apart() {
    let authority = Authority::new();
    let mut text = String::new();
    for (name, days) in [("other.example", 20), (NAME, -2)] {
        authority.sign(name, days);
        let port = authority.serve().await;
        text += &plain(&found(&authority.trusted_at(DEBIAN), port).await);
    }
    authority.sign(NAME, 20);
    let port = authority.serve().await;
    text += &plain(&found(&Authority::new().trusted_at(DEBIAN), port).await);
    text += &plain(&found(&encrypting(), port).await);
    text += &plain(&found(&encrypting().file(DEBIAN, "garbage"), port).await);
    insta::assert_snapshot!(text);
}

/// Without what differs from day to day.
fn plain(finding: &Finding) -> String {
    let mut finding = finding.clone();
    if let Some((before, _)) = finding.says.split_once(" (20") {
        finding.says = format!("{before} (WHEN)");
    }
    for line in &mut finding.evidence {
        if let Some((before, _)) = line.split_once(", from 20") {
            *line = format!("{before}, from THEN until THEN");
        }
        if let Some((before, _)) = line.split_once(" in ") {
            *line = format!("{before} in N ms");
        }
    }
    shown(&finding)
}

#[tokio::test]
async fn servers_without_tls_are_told_apart() {
    let web = serve(|mut stream| {
        tokio::spawn(async move {
            let _ = stream.read(&mut [0; 512]).await;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
        });
    });
    let closes = serve(drop);
    let silent = serve(std::mem::forget);
    let nobody = serve(drop).await;
    let sample = encrypting();
    let mut text = String::new();
    for port in [web.await, closes.await, silent.await] {
        text += &shown(&found(&sample, port).await);
    }
    assert!(PATIENCE * 2 < Id::Tls.check().deadline);
    let seen = look(&sample.scene(nobody)).await.unwrap();
    for end in [
        End::Unreached(Barrier::Refused),
        End::Hitch(Hitch::Alert("HandshakeFailure".to_owned())),
        End::Hitch(Hitch::Other("what it sent cannot be decrypted".to_owned())),
    ] {
        text += &shown(&judge(&Seen { end, ..seen.clone() }, &sample.case()));
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn where_tls_is_not_wanted_nothing_is_looked_at() {
    let sample = Sample::default();
    let gap = look(&sample.scene(1)).await.unwrap_err();
    assert_eq!(gap.why, "this host does not encrypt: `efs.tls` is not set");
}

#[test]
fn a_certificate_from_the_future_is_the_clocks_matter() {
    let sample = encrypting();
    let goal = goals(&sample.asked, &sample.observed).unwrap().remove(0);
    let handshake = |distrust| Handshake {
        protocol: "TLSv1_2".to_owned(),
        ms: 3,
        chain: Vec::new(),
        distrust: Some(distrust),
    };
    let mut text = String::new();
    for distrust in [Distrust::NotYet, Distrust::Other("invalid purpose".to_owned())] {
        let end = End::Shaken(handshake(distrust));
        let (name, trusted) = (NAME.to_owned(), Trusted::default());
        let seen = Seen { goal: goal.clone(), name, trusted, end };
        text += &shown(&judge(&seen, &sample.case()));
    }
    assert!(Path::new(LISTS[0]).is_absolute());
    insta::assert_snapshot!(text);
}
