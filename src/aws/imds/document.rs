//! The identity document: who the instance is, in one request.
//!
//! What is in it ends up in names of hosts and in calls, so it is taken only in the form that AWS
//! gives it.

use std::net::Ipv4Addr;

use serde::Deserialize;

use crate::error::Fault;
use crate::host::is_region;

/// The identity document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The instance.
    pub instance_id: String,
    /// The account that owns it.
    pub account_id: String,
    /// Its region.
    pub region: String,
    /// Its availability zone.
    pub availability_zone: String,
    /// Its image.
    pub image_id: String,
    /// Its type, as `m5.large`.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Its processor, as `x86_64`.
    #[serde(default)]
    pub architecture: Option<String>,
    /// Its address.
    pub private_ip: Ipv4Addr,
    /// When it was last started.
    #[serde(default)]
    pub pending_time: Option<jiff::Timestamp>,
}

impl Document {
    /// Reads one. What is wrong is told by its name, and never repeated whole.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |what: String| {
            Fault::environment(format!("the instance identity document {what}"))
                .hint("this does not look like EC2: something else answers at its address")
        };
        let document: Self = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let html = text.trim_start().starts_with('<');
            let kind = if html { "is a page of HTML" } else { "cannot be read" };
            wrong(format!("{kind} (line {line}, column {column})"))
        })?;
        let zone = &document.availability_zone;
        for (name, value, good) in [
            ("instanceId", &document.instance_id, is_id(&document.instance_id, "i-")),
            ("accountId", &document.account_id, is_account(&document.account_id)),
            ("region", &document.region, is_region(&document.region)),
            ("availabilityZone", zone, is_zone(zone, &document.region)),
            ("imageId", &document.image_id, is_id(&document.image_id, "ami-")),
        ] {
            if !good {
                let shown: String = value.chars().take(40).collect();
                return Err(wrong(format!("names `{}` as {name}", shown.escape_debug())));
            }
        }
        Ok(document)
    }
}

fn is_id(text: &str, prefix: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.strip_prefix(prefix).is_some_and(|id| (1..=40).contains(&id.len()) && id.chars().all(hex))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

/// `eu-west-1a`, `us-west-2-lax-1a`.
fn is_zone(text: &str, region: &str) -> bool {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.strip_prefix(region)
        .is_some_and(|rest| (1..=40).contains(&rest.len()) && rest.chars().all(part))
}

/// `euw1-az1`, `usw2-lax1-az1`: the name of a zone in every account.
pub(super) fn is_zone_id(text: &str) -> bool {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (5..=40).contains(&text.len()) && text.chars().all(part) && text.contains("az")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Document, Fault> {
        let mut document = serde_json::json!({
            "instanceId": "i-0bbbbbbbbbbbbbbbb", "accountId": "123456789012",
            "region": "eu-west-1", "availabilityZone": "eu-west-1a", "imageId": "ami-0a",
            "privateIp": "10.0.2.15", "instanceType": "m5.large",
        });
        document[name] = value.into();
        Document::parse(&document.to_string())
    }

    #[test]
    fn what_does_not_have_the_form_that_aws_gives_it_is_refused() {
        assert!(with("region", "eu-west-1").is_ok());
        assert!(with("availabilityZone", "eu-west-1-ham-1a").is_ok());
        for (name, value) in [
            ("instanceId", "i-../../etc"),
            ("accountId", "1234"),
            ("region", "evil.example"),
            ("availabilityZone", "us-east-1a"),
            ("imageId", "ami-x"),
        ] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.contains(&format!("`{value}` as {name}")), "{error}");
        }
        assert!(with("privateIp", "nowhere").is_err());
    }

    #[test]
    fn a_page_is_no_document() {
        let error = Document::parse("<html>log in here</html>").unwrap_err().to_string();
        assert!(error.contains("page of HTML") && !error.contains("log in"), "{error}");
    }
}
