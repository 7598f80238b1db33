//! A TLS handshake that only looks: it goes through whoever the other side is, and tells whether a
//! client that is careful would trust it, and if not, why. Nothing that is secret is sent through
//! such a connection.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::reach::milliseconds;

/// A handshake that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The version: `TLSv1_3`.
    pub protocol: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What the other side showed: its own certificate first.
    pub chain: Vec<Certificate>,
    /// Why a careful client would not trust it; nothing if it would.
    pub distrust: Option<Distrust>,
}

/// What stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names for which it is good.
    pub names: Vec<String>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Why a certificate is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distrust {
    /// One of the chain is too old.
    Expired,
    /// One of the chain is not good yet: this clock, or theirs, is wrong.
    NotYet,
    /// Nobody that this host trusts has signed it.
    UnknownIssuer,
    /// It is good for other names.
    OtherName,
    /// This host trusts nobody: it has no list of authorities.
    NoRoots,
    /// Something else.
    Other(String),
}

/// Why no handshake came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hitch {
    /// What came is not TLS.
    Alien(String),
    /// The connection ended.
    Closed,
    /// Nothing came within so many milliseconds.
    Silent(u64),
    /// The other side said no, in the words of the protocol.
    Alert(String),
    /// Something else.
    Other(String),
}

/// Shakes hands over `stream` with whoever should be `name`, which a careful client would trust
/// because of one of `roots`.
pub async fn shake(
    stream: TcpStream,
    name: &str,
    roots: &[CertificateDer<'static>],
    patience: Duration,
) -> Result<(TlsStream<TcpStream>, Handshake), Hitch> {
    let server = ServerName::try_from(name.to_owned());
    let server = server.map_err(|error| Hitch::Other(format!("{name} is no name: {error}")))?;
    let witness = Arc::new(Witness::new(roots));
    let config = ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Hitch::Other(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let began = Instant::now();
    let connect = TlsConnector::from(Arc::new(config)).connect(server, stream);
    let stream = match timeout(patience, connect).await {
        Err(_) => return Err(Hitch::Silent(milliseconds(patience))),
        Ok(shaken) => shaken.map_err(|error| hitch(&error))?,
    };
    let ms = milliseconds(began.elapsed());
    let protocol = stream.get_ref().1.protocol_version();
    let protocol = protocol.and_then(|it| it.as_str()).unwrap_or("unknown").to_owned();
    let (chain, distrust) = witness.testimony();
    Ok((stream, Handshake { protocol, ms, chain, distrust }))
}

fn hitch(error: &io::Error) -> Hitch {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (inner, error.kind()) {
        (Some(Error::AlertReceived(alert)), _) => Hitch::Alert(format!("{alert:?}")),
        (
            Some(
                error @ (Error::InvalidMessage(_)
                | Error::InappropriateMessage { .. }
                | Error::InappropriateHandshakeMessage { .. }),
            ),
            _,
        ) => Hitch::Alien(error.to_string()),
        (Some(error), _) => Hitch::Other(error.to_string()),
        (
            None,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe,
        ) => Hitch::Closed,
        (None, _) => Hitch::Other(error.to_string()),
    }
}

/// Lets everybody pass and keeps what a careful verifier says.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    careful: Option<Arc<WebPkiServerVerifier>>,
    seen: Mutex<Option<(Vec<Certificate>, Option<Distrust>)>>,
}

impl Witness {
    fn new(roots: &[CertificateDer<'static>]) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider));
        // Where there is no root there is no verifier.
        Self { careful: builder.build().ok(), provider, seen: Mutex::default() }
    }

    fn testimony(&self) -> (Vec<Certificate>, Option<Distrust>) {
        let seen = self.seen.lock().ok().and_then(|mut seen| seen.take());
        seen.unwrap_or_else(|| (Vec::new(), Some(Distrust::Other("it showed none".to_owned()))))
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let distrust = match &self.careful {
            None => Some(Distrust::NoRoots),
            Some(careful) => {
                let verdict = careful.verify_server_cert(own, others, name, ocsp, now);
                verdict.err().map(distrust)
            }
        };
        let chain = std::iter::once(own).chain(others).filter_map(|it| certificate(it)).collect();
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some((chain, distrust));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, own, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, own, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn distrust(error: Error) -> Distrust {
    use CertificateError as Why;
    let Error::InvalidCertificate(why) = error else { return Distrust::Other(error.to_string()) };
    match why {
        Why::Expired | Why::ExpiredContext { .. } => Distrust::Expired,
        Why::NotValidYet | Why::NotValidYetContext { .. } => Distrust::NotYet,
        Why::UnknownIssuer => Distrust::UnknownIssuer,
        Why::NotValidForName | Why::NotValidForNameContext { .. } => Distrust::OtherName,
        other => Distrust::Other(other.to_string()),
    }
}

/// What stands in a certificate; nothing if it cannot be read.
fn certificate(der: &[u8]) -> Option<Certificate> {
    let read = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
    let time = |time: &x509_cert::time::Time| {
        let seconds = time.to_unix_duration().as_secs().try_into().ok()?;
        Timestamp::from_second(seconds).ok()
    };
    let names = match read.get::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names.iter().filter_map(dns_name).collect(),
        _ => Vec::new(),
    };
    Some(Certificate {
        subject: read.subject.to_string(),
        issuer: read.issuer.to_string(),
        names,
        from: time(&read.validity.not_before)?,
        until: time(&read.validity.not_after)?,
    })
}

fn dns_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    }
}
