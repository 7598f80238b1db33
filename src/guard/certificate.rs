//! When a certificate ends: as much of X.509 as that takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The tags of DER that stand here.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first certificate of a PEM file ends.
pub(super) fn ends(pem: &str) -> Option<Timestamp> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (body, _) = rest.split_once(END)?;
    let text: String = body.split_whitespace().collect();
    not_after(&STANDARD.decode(text).ok()?)
}

/// `Certificate { tbs { [0] version, serial, algorithm, issuer, validity { from, until } … } … }`
fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(der)?;
    let (_, tbs, _) = element(certificate)?;
    let (tag, _, after_version) = element(tbs)?;
    let mut rest = if tag == VERSION { after_version } else { tbs };
    for _ in ["serial", "algorithm", "issuer"] {
        (_, _, rest) = element(rest)?;
    }
    let (tag, validity, _) = element(rest)?;
    let (_, _, until) = element(validity)?;
    let (kind, text, _) = element(until)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let full = match kind {
        // Two digits of a year: those from 50 on are of the last century.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", full).ok()?;
    (tag == SEQUENCE).then(|| time.to_zoned(TimeZone::UTC).ok())?.map(|time| time.timestamp())
}

/// The first element: its tag, its content, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (bytes, rest) = rest.split_at(count);
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    (rest.len() >= length).then(|| {
        let (content, rest) = rest.split_at(length);
        (tag, content, rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGTCBzKADAgECAgEHMAUGAytlcDAMMQowCAYDVQQDDAF4MB4XDTI2MTEyNzEz
MzIyMVoXDTI4MDEwMTEzMzIyMVowDDEKMAgGA1UEAwwBeDAqMAUGAytlcAMhADFK
8WJqZDC4GiBGrwoiOqYvCLwn17VHgFdXNr8gHKTNo1MwUTAdBgNVHQ4EFgQULR9K
bYkHNF86uVvqXi58THzH1LowHwYDVR0jBBgwFoAULR9KbYkHNF86uVvqXi58THzH
1LowDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQA9Mczo0ndVmONPS5CtS/Gu0PVh
4hRzXlTe3LqrqX3Y3RYJdrN87gwLL4KZPUbA3FA4IRWFB4kPjRcsryIBxLYJ
-----END CERTIFICATE-----
";

    #[test]
    fn the_end_of_a_certificate_is_read_and_rubbish_is_none() {
        assert_eq!(ends(PEM).unwrap().to_string(), "2028-01-01T13:32:21Z");
        assert_eq!(ends(&format!("a key before it\n{PEM}")), ends(PEM));
        assert_eq!(ends("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"), None);
        let (_, body) = PEM.split_once(BEGIN).unwrap();
        let text: String = body.split_once(END).unwrap().0.split_whitespace().collect();
        let der = STANDARD.decode(text).unwrap();
        assert!((0..der.len() / 2).all(|length| not_after(&der[..length]).is_none()));
    }
}
