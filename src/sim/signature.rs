//! Who signed a request, with what, and whether the signature is right (AWS Signature Version 4).
//!
//! A wrong signature is refused as AWS refuses it: a client that signs badly must not pass here
//! and fail there.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::http::Request;
use super::instance::Credentials;
use super::random::to_hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How `x-amz-date` is written.
const DATE: &str = "%Y%m%dT%H%M%SZ";
/// How far a signature's time may be from AWS's.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// Said instead of the digest of a body that is not signed.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The service whose bodies need not be signed: blocks have checksums of their own.
const MAY_BE_UNSIGNED: &str = "ebs";

/// Why a request is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not signed.
    Unsigned,
    /// Nobody here has that access key, or its session token is another one.
    UnknownKey,
    /// The signature does not match the request.
    WrongSignature,
    /// It was signed too long ago, or will be: how AWS says that.
    Skewed(String),
}

/// What an `Authorization` header says.
struct Claim<'a> {
    access_key: &'a str,
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (access_key, scope) = field("Credential")?.split_once('/')?;
        Some(Self {
            access_key,
            scope,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

/// The service that a request is signed for.
pub fn service(request: &Request) -> Option<&str> {
    Claim::parse(request.header("authorization")?)?.scope.split('/').nth(2)
}

/// The region that a request is signed for.
pub fn region(request: &Request) -> Option<&str> {
    Claim::parse(request.header("authorization")?)?.scope.split('/').nth(1)
}

/// The access key that a request says it is signed with.
pub fn access_key(request: &Request) -> Result<&str, Refusal> {
    let header = request.header("authorization").ok_or(Refusal::Unsigned)?;
    Claim::parse(header).map(|claim| claim.access_key).ok_or(Refusal::Unsigned)
}

/// Believes `request` if it is signed with `credentials`, and about `now`.
pub fn check(request: &Request, credentials: &Credentials, now: Timestamp) -> Result<(), Refusal> {
    let header = request.header("authorization").ok_or(Refusal::Unsigned)?;
    let claim = Claim::parse(header).ok_or(Refusal::Unsigned)?;
    let session = request.header("x-amz-security-token");
    if claim.access_key != credentials.access_key || session != credentials.session.as_deref() {
        return Err(Refusal::UnknownKey);
    }
    check_time(request, &claim, now)?;
    let expected = sign(request, &claim, &credentials.secret_key).ok_or(Refusal::WrongSignature)?;
    if claim.signature == expected { Ok(()) } else { Err(Refusal::WrongSignature) }
}

/// Refuses what was not signed about now: nobody can send again what he has heard.
fn check_time(request: &Request, claim: &Claim<'_>, now: Timestamp) -> Result<(), Refusal> {
    let date = request.header("x-amz-date").ok_or(Refusal::WrongSignature)?;
    let signed = DateTime::strptime(DATE, date).and_then(|date| date.to_zoned(TimeZone::UTC));
    let signed = signed.map_err(|_| Refusal::WrongSignature)?.timestamp();
    if claim.scope.split('/').next() != date.split('T').next() {
        return Err(Refusal::WrongSignature);
    }
    let text = |time: Timestamp| time.strftime(DATE).to_string();
    let (oldest, newest) = (now - PATIENCE, now + PATIENCE);
    if signed < oldest {
        let (oldest, now) = (text(oldest), text(now));
        return Err(Refusal::Skewed(format!(
            "Signature expired: {date} is now earlier than {oldest} ({now} - 5 min.)"
        )));
    }
    if signed > newest {
        let (newest, now) = (text(newest), text(now));
        return Err(Refusal::Skewed(format!(
            "Signature not yet current: {date} is still later than {newest} ({now} + 5 min.)"
        )));
    }
    Ok(())
}

/// The signature that the request should have.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
fn sign(request: &Request, claim: &Claim<'_>, secret: &str) -> Option<String> {
    let mut headers = String::new();
    for name in claim.signed_headers.split(';') {
        let value = request.header(name)?.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(headers, "{name}:{value}");
    }
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        canonical_path(&request.path),
        canonical_query(&request.query),
        claim.signed_headers,
        payload(request, claim)
    );
    let text = format!(
        "{ALGORITHM}\n{}\n{}\n{}",
        request.header("x-amz-date")?,
        claim.scope,
        digest(canonical.as_bytes())
    );
    let key = claim.scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| {
        hmac(&key, part.as_bytes()).to_vec()
    });
    Some(to_hex(&hmac(&key, text.as_bytes())))
}

/// What is signed of the body.
fn payload(request: &Request, claim: &Claim<'_>) -> String {
    let unsigned = request.header("x-amz-content-sha256") == Some(UNSIGNED_PAYLOAD);
    match claim.scope.split('/').nth(2) {
        Some(MAY_BE_UNSIGNED) if unsigned => UNSIGNED_PAYLOAD.to_owned(),
        _ => digest(&request.body),
    }
}

/// The path as it was sent, each of its parts written once more: only S3's is signed as it is.
fn canonical_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// The query with its parts in order, each written in the one way that signatures know.
fn canonical_query(query: &str) -> String {
    let mut parts: Vec<String> = form_urlencoded::parse(query.replace('+', "%2B").as_bytes())
        .map(|(name, value)| format!("{}={}", encode(&name), encode(&value)))
        .collect();
    parts.sort();
    parts.join("&")
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            out + &char::from(byte).to_string()
        }
        _ => out + &format!("%{byte:02X}"),
    })
}

fn digest(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Signs a request as the instance does.
    pub(in crate::sim) fn signed(
        mut request: Request,
        service: &str,
        credentials: &Credentials,
    ) -> Request {
        let now = Timestamp::now();
        let scope = format!("{}/eu-west-1/{service}/aws4_request", now.strftime("%Y%m%d"));
        let mut add = |name: &str, value: &str| {
            request.headers.insert(name.to_owned(), value.to_owned());
        };
        add("host", "10.0.2.2");
        add("x-amz-date", &now.strftime(DATE).to_string());
        add("x-amz-security-token", credentials.session.as_deref().unwrap_or_default());
        let signed_headers = "host;x-amz-date;x-amz-security-token";
        let claim = Claim {
            access_key: &credentials.access_key,
            scope: &scope,
            signed_headers,
            signature: "",
        };
        let signature = sign(&request, &claim, &credentials.secret_key).unwrap();
        let value = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed_headers}, \
             Signature={signature}",
            credentials.access_key
        );
        request.headers.insert("authorization".to_owned(), value);
        request
    }

    fn credentials() -> Credentials {
        let text = |text: &str| text.to_owned();
        Credentials {
            access_key: text("ASIAX"),
            secret_key: text("secret"),
            session: Some(text("s")),
        }
    }

    #[test]
    fn hmac_gives_what_rfc_4231_says() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(to_hex(&hmac(b"Jefe", b"what do ya want for nothing?")), expected);
    }

    #[test]
    fn signs_as_awss_own_example() {
        // "get-vanilla-query-order-key-case" of AWS's Signature Version 4 test suite.
        let headers = [
            ("host".to_owned(), "example.amazonaws.com".to_owned()),
            ("x-amz-date".to_owned(), "20150830T123600Z".to_owned()),
        ];
        let request = Request {
            method: "GET".into(),
            path: "/".into(),
            query: "Param2=value2&Param1=value1".into(),
            headers: headers.into(),
            ..Request::default()
        };
        let claim = Claim {
            access_key: "AKIDEXAMPLE",
            scope: "20150830/us-east-1/service/aws4_request",
            signed_headers: "host;x-amz-date",
            signature: "",
        };
        assert_eq!(
            sign(&request, &claim, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap(),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        );
    }

    #[test]
    fn believes_the_instance_and_nobody_else() {
        let request = Request { method: "POST".into(), path: "/".into(), ..Request::default() };
        let now = Timestamp::now();
        assert_eq!(check(&request, &credentials(), now), Err(Refusal::Unsigned));

        let mut request = signed(request, "ssm", &credentials());
        assert_eq!(service(&request), Some("ssm"));
        assert_eq!(region(&request), Some("eu-west-1"));
        assert_eq!(check(&request, &credentials(), now), Ok(()));

        let late = check(&request, &credentials(), now + SignedDuration::from_mins(6));
        assert!(matches!(late, Err(Refusal::Skewed(why)) if why.starts_with("Signature expired")));
        let early = check(&request, &credentials(), now - SignedDuration::from_mins(6));
        assert!(matches!(early, Err(Refusal::Skewed(why)) if why.contains("not yet current")));

        let other = Credentials { session: Some("other".into()), ..credentials() };
        assert_eq!(check(&request, &other, now), Err(Refusal::UnknownKey));

        request.body = "changed on the way".into();
        assert_eq!(check(&request, &credentials(), now), Err(Refusal::WrongSignature));
    }
}
