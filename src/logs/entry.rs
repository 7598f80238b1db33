//! An entry of the journal, as what is sent.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::aws::logs::LogEvent;
use crate::secret;

/// Whose entries are sent. Not our own: what is said of a failure to send must not be sent again.
const UNITS: &[&str] = &[
    "hostkit-boot.service",
    "hostkit-lease.service",
    "hostkit-guard.service",
    "hostkit-shield.service",
    "hostkit-ssh-host-keys.service",
    "hostkit-keys-refresh.service",
    "jenkins.service",
    "ecs.service",
    "docker.service",
    "containerd.service",
    "ssh.service",
    "sshd.service",
    "var-lib-jenkins.mount",
];

/// What of an entry is asked for.
pub(super) const FIELDS: &str = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT,MESSAGE_ID,\
                                 STEP,HOSTKIT_OUTCOME,HOSTKIT_TOOK_USEC,_TRANSPORT";

/// A longer text is cut, in bytes.
const LONGEST: usize = 128 << 10;

/// What `journalctl` is to select: what the units say, what systemd says of them, and what the
/// kernel warns of.
pub(super) fn matches() -> Vec<String> {
    let mut matches: Vec<_> = UNITS.iter().map(|unit| format!("_SYSTEMD_UNIT={unit}")).collect();
    matches.push("+".to_owned());
    matches.push("_PID=1".to_owned());
    matches.extend(UNITS.iter().map(|unit| format!("UNIT={unit}")));
    matches.push("+".to_owned());
    matches.push("_TRANSPORT=kernel".to_owned());
    matches.extend((0..=4).map(|priority| format!("PRIORITY={priority}")));
    matches
}

/// What is to be sent, and where in the journal it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) cursor: String,
    /// None where there is nothing to send: an entry without text.
    pub(super) event: Option<LogEvent>,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Entry {
    /// Reads a line of `journalctl --output=json`. None where it is none, as one that was cut.
    pub(super) fn read(line: &str) -> Option<Self> {
        let frame: Frame = serde_json::from_str(line).ok()?;
        let micros: i64 = frame.at.parse().ok()?;
        let event = text(&frame.fields).map(|text| LogEvent { at: micros / 1000, text });
        Some(Self { cursor: frame.cursor, event })
    }
}

/// As JSON, which Logs Insights takes apart by itself.
fn text(fields: &Map<String, Value>) -> Option<String> {
    let message = field(fields, "MESSAGE").filter(|text| !text.trim().is_empty())?;
    let mut out = Map::new();
    let unit = field(fields, "UNIT").or_else(|| field(fields, "_SYSTEMD_UNIT"));
    let unit = unit.unwrap_or_else(|| "kernel".to_owned());
    out.insert("unit".to_owned(), unit.into());
    let priority = field(fields, "PRIORITY").and_then(|text| text.parse::<u8>().ok());
    out.insert("priority".to_owned(), priority.unwrap_or(6).into());
    for (from, to) in
        [("STEP", "step"), ("HOSTKIT_OUTCOME", "outcome"), ("MESSAGE_ID", "message_id")]
    {
        if let Some(value) = field(fields, from) {
            out.insert(to.to_owned(), value.into());
        }
    }
    let end = (0..=message.len().min(LONGEST)).rev().find(|&at| message.is_char_boundary(at));
    let message = &message[..end.unwrap_or(0)];
    out.insert("message".to_owned(), secret::redact(message).into_owned().into());
    Some(Value::Object(out).to_string())
}

/// A field as text: `journalctl` writes one that is not text as a list of bytes, and one that an entry
/// has twice as a list of texts.
fn field(fields: &Map<String, Value>, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let bytes = items.iter().filter_map(Value::as_u64);
            let bytes: Vec<u8> = bytes.filter_map(|byte| u8::try_from(byte).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Array(items) => items.first()?.as_str().map(str::to_owned),
        _ => None,
    }
}
