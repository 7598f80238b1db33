//! When a certificate ends, read from its file.

use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Document, pem::PemLabel as _};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// When the first certificate of a PEM file ends; none where there is none that can be read.
pub fn ends(pem: &str) -> Option<Timestamp> {
    let pem = pem.get(pem.find(BEGIN)?..)?;
    let (label, document) = Document::from_pem(pem.get(..pem.find(END)? + END.len())?).ok()?;
    Certificate::validate_pem_label(label).ok()?;
    not_after(document.as_bytes())
}

fn not_after(der: &[u8]) -> Option<Timestamp> {
    let certificate = Certificate::from_der(der).ok()?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Timestamp::from_second(i64::try_from(end.as_secs()).ok()?).ok()
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
        let (_, document) = Document::from_pem(PEM.trim_end()).unwrap();
        let der = document.as_bytes();
        assert!((0..der.len()).all(|length| not_after(&der[..length]).is_none()));
    }
}
