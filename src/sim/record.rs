//! A record of every request: a line of JSON each, for who looks at what a client sent.
//!
//! There are values of parameters in it, but no signatures.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use serde::Serialize;

use super::cloudwatch;
use super::http::{Manner, Reply, Request};
use super::service::Service;
use crate::error::Fault;

/// Bodies beyond this are told by their length.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// What a request turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The service, if any.
    pub service: Option<Service>,
    /// The operation.
    pub action: String,
    /// The region.
    pub region: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    time: jiff::Timestamp,
    service: Option<&'static str>,
    action: &'a str,
    region: &'a str,
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: std::collections::BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    body_bytes: usize,
    /// None where there was no answer.
    status: Option<u16>,
    error: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Record(Mutex<File>);

impl Record {
    /// Begins one, or goes on with one.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let fault = || Fault::usage(format!("{} cannot hold the record", path.display()));
        Ok(Self(Mutex::new(file.with_context(fault)?)))
    }

    /// Writes down one request and what became of it.
    pub fn write(&self, subject: &Subject, request: &Request, reply: &Reply) {
        let secret = ["authorization", "x-amz-security-token"];
        let text = cloudwatch::readable(request);
        let text = text.as_deref().or_else(|| std::str::from_utf8(&request.body).ok());
        let line = Line {
            time: jiff::Timestamp::now(),
            service: subject.service.map(Service::prefix),
            action: &subject.action,
            region: &subject.region,
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .filter(|(name, _)| !secret.contains(name))
                .collect(),
            body: text.filter(|text| text.len() <= BODY_LIMIT_BYTES),
            body_bytes: request.body.len(),
            status: answered(reply).then_some(reply.status),
            error: error_code(reply),
        };
        let mut text = serde_json::to_vec(&line).expect("it has only text for keys");
        text.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&text) {
            tracing::warn!(%error, "a request is not recorded");
        }
    }
}

const fn answered(reply: &Reply) -> bool {
    !matches!(reply.manner, Manner::Never | Manner::Silent)
}

/// The code of an error, in whatever protocol.
fn error_code(reply: &Reply) -> Option<String> {
    if reply.status < 400 || !answered(reply) {
        return None;
    }
    let header = reply.headers.iter().find(|(name, _)| *name == "x-amzn-errortype");
    if let Some((_, code)) = header {
        return Some(code.clone());
    }
    let query = reply.headers.iter().find(|(name, _)| *name == "x-amzn-query-error");
    if let Some((_, code)) = query {
        return code.split(';').next().map(str::to_owned);
    }
    let text: &str = &reply.body;
    if let Some((_, rest)) = text.split_once("<Code>") {
        return rest.split_once("</Code>").map(|(code, _)| code.to_owned());
    }
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    body["__type"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_was_sent_and_no_signature() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let headers = [("authorization", "AWS4"), ("x-amz-target", "AmazonSSM.GetParameter")];
        let request = Request {
            method: "POST".into(),
            path: "/".into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: "{}".into(),
            ..Request::default()
        };
        let subject = Subject {
            service: Some(Service::Ssm),
            action: "GetParameter".into(),
            region: "eu-west-1".into(),
        };
        let record = Record::open(&path).unwrap();
        record.write(&subject, &request, &crate::sim::aws_json::error("ParameterNotFound", ""));
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["service"], "ssm");
        assert_eq!(line["body"], "{}");
        assert_eq!(line["error"], "ParameterNotFound");
        assert!(!text.contains("AWS4"), "{text}");
    }

    #[test]
    fn every_protocol_says_what_went_wrong() {
        let code = |service: Service| error_code(&service.error(400, "Wrong", "x"));
        for service in [
            Service::Backup,
            Service::CloudWatch,
            Service::Ec2,
            Service::Sts,
            Service::Ebs,
            Service::Ssm,
            Service::Efs,
            Service::Ecs,
            Service::Kms,
            Service::ServiceQuotas,
        ] {
            assert_eq!(code(service).as_deref(), Some("Wrong"), "{service:?}");
        }
    }
}
