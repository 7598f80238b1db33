//! The partitions of AWS: worlds of their own, with their own names.

use serde::{Deserialize, Serialize};

/// A partition of AWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its name, as in ARNs: `aws`, `aws-cn`.
    pub name: String,
    /// What the names of its services end in, as `amazonaws.com`.
    pub dns_suffix: String,
}

/// How the names of a partition's regions begin, its name, and its suffix; the longer ones first.
const KNOWN: &[(&str, &str, &str)] = &[
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-", "aws", "amazonaws.com"),
    ("eu-", "aws", "amazonaws.com"),
    ("ap-", "aws", "amazonaws.com"),
    ("sa-", "aws", "amazonaws.com"),
    ("ca-", "aws", "amazonaws.com"),
    ("me-", "aws", "amazonaws.com"),
    ("af-", "aws", "amazonaws.com"),
    ("il-", "aws", "amazonaws.com"),
    ("mx-", "aws", "amazonaws.com"),
];

impl Partition {
    /// That of a region, if it is one of those that this program knows.
    pub fn of_region(region: &str) -> Option<Self> {
        let (_, name, suffix) = KNOWN.iter().find(|(begin, ..)| region.starts_with(begin))?;
        Some(Self { name: (*name).to_owned(), dns_suffix: (*suffix).to_owned() })
    }

    /// From what somebody says who may not be AWS: a suffix ends up in names of hosts.
    pub fn new(name: &str, dns_suffix: &str) -> Option<Self> {
        let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = |text: &str| (1..=63).contains(&text.len()) && text.chars().all(part);
        let valid = name.starts_with("aws") && good(name) && dns_suffix.split('.').all(good);
        valid.then(|| Self { name: name.to_owned(), dns_suffix: dns_suffix.to_owned() })
    }
}

impl Default for Partition {
    fn default() -> Self {
        Self { name: "aws".to_owned(), dns_suffix: "amazonaws.com".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_tells_its_partition() {
        let of = |region: &str| Partition::of_region(region).map(|it| it.dns_suffix);
        assert_eq!(of("eu-west-1").as_deref(), Some("amazonaws.com"));
        assert_eq!(of("cn-north-1").as_deref(), Some("amazonaws.com.cn"));
        assert_eq!(of("us-isob-east-1").as_deref(), Some("sc2s.sgov.gov"));
        assert_eq!(of("xx-new-1"), None);
        assert!(Partition::new("aws-new", "example.new").is_some());
        assert_eq!(Partition::new("aws", "evil/x"), None);
        assert_eq!(Partition::new("other", "example.com"), None);
    }
}
