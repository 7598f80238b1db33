//! Which keys are where: what Parameter Store has, and what each host accepts.
//!
//! Hosts publish nothing about their keys: that would be a write of every host, and a right to write.
//! Instead their own SSH servers are asked, which need not be told anything for that. Each is offered
//! the public keys, as a client does before it logs in, and says which it would let in; no private key
//! and no login is needed, only a way to its port. So this is run where the controller is, or anything
//! else that `agent.from` permits.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;

use super::generate::Place;
use super::private::PrivateKey;
use super::public::PublicKey;
use super::{handshake, host_key_of, lines, make, next_of, public_of};
use crate::aws::operator::fault;
use crate::aws::{Failure, ssm};
use crate::error::Fault;
use crate::sys::{Cmd, CmdError, Runner, Tool};

/// How long one host may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many hosts are asked at the same time.
const AT_ONCE: usize = 16;

/// What Parameter Store has.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stored {
    /// The private key's fingerprint.
    pub private: Option<String>,
    /// When it was written.
    pub written: Option<Timestamp>,
    /// The key that a rotation under way will put in its place.
    pub next: Option<String>,
    /// The keys of the list.
    pub public: Vec<Listed>,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
    /// The keys themselves, for asking hosts.
    #[serde(skip)]
    pub keys: Vec<PublicKey>,
}

/// A key of the list.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its fingerprint.
    pub fingerprint: String,
    /// What stands behind it.
    pub comment: String,
    /// Whether controllers log in with it.
    pub in_use: bool,
}

/// What one host accepts.
#[derive(Clone, Debug, Serialize)]
pub struct Accepts {
    /// Its name or address.
    pub host: String,
    /// The fingerprint of the host key that it shows.
    pub host_key: Option<String>,
    /// Whether that is the one of its pool; absent where no pool is known.
    pub is_pools: Option<bool>,
    /// The fingerprints of the keys that it lets in.
    pub keys: Vec<String>,
    /// Why it could not be asked.
    pub problem: Option<String>,
}

/// Reads what Parameter Store has at `place`.
pub async fn stored(config: &SdkConfig, place: &Place) -> anyhow::Result<Stored> {
    let mut stored = Stored::default();
    let Place { private, public, .. } = place;
    let list = ssm::parameters(config, &[public]).await.map_err(|it| fault(&it))?;
    match list.values.get(public) {
        None => stored.problems.push(format!("the parameter `{public}` does not exist")),
        Some(text) => {
            let (keys, wrong) = lines(text);
            stored.keys = keys;
            stored.problems.extend(
                wrong.iter().map(|(number, why)| format!("line {number} of `{public}`: {why}")),
            );
        }
    }
    let next = next_of(private);
    let half = match ssm::parameters(config, &[private, &next]).await {
        Ok(found) => {
            if let Some(key) = of(&found, &next, &mut stored.problems).await {
                stored.next = Some(key.fingerprint());
            }
            let parameter = found.values.parameter(private);
            stored.written = parameter.and_then(|parameter| parameter.written);
            match parameter {
                None => stored.problems.push(format!("the parameter `{private}` does not exist")),
                Some(parameter) if !parameter.is_secret => {
                    let text =
                        format!("the parameter `{private}` is a String: make it a SecureString");
                    stored.problems.push(text);
                }
                Some(_) => {}
            }
            of(&found, private, &mut stored.problems).await
        }
        Err(failure) => {
            stored.problems.push(not_read(private, &failure));
            None
        }
    };
    stored.private = half.as_ref().map(PublicKey::fingerprint);
    let is_used = |key: &PublicKey| half.as_ref().is_some_and(|half| half.is(key));
    stored.public = stored
        .keys
        .iter()
        .map(|key| Listed {
            fingerprint: key.fingerprint(),
            comment: key.comment().to_owned(),
            in_use: is_used(key),
        })
        .collect();
    if half.is_some() && !stored.public.iter().any(|key| key.in_use) {
        let text = format!("no line of `{public}` lets the private key in: no login works");
        stored.problems.push(text);
    }
    Ok(stored)
}

/// The public half of a private key that was found.
async fn of(found: &ssm::Found, name: &str, problems: &mut Vec<String>) -> Option<PublicKey> {
    let key = match PrivateKey::read(found.values.get(name)?) {
        Ok(key) => key,
        Err(wrong) => {
            problems.push(format!("the parameter `{name}` {wrong}"));
            return None;
        }
    };
    match make::half_of(&key).await {
        Ok(half) => Some(half),
        Err(error) => {
            problems.push(format!("the parameter `{name}`: {error:#}"));
            None
        }
    }
}

fn not_read(name: &str, failure: &Failure) -> String {
    if failure.is_denied() {
        format!("the parameter `{name}` may not be read with these credentials")
    } else {
        format!("the parameter `{name}` cannot be read: {failure}")
    }
}

/// The public host key of a pool.
pub async fn host_key(config: &SdkConfig, pool: &str) -> anyhow::Result<Option<PublicKey>> {
    let name = public_of(&host_key_of(pool));
    let found = ssm::parameters(config, &[&name]).await.map_err(|it| fault(&it))?;
    let text = found.values.get(&name).map(PublicKey::parse).transpose();
    Ok(text.map_err(|wrong| Fault::aws(format!("the parameter `{name}`: {wrong}")))?)
}

/// Whom to ask, and about what.
#[derive(Clone, Debug)]
pub struct Question {
    /// The hosts: a name for people, and where their servers are.
    pub hosts: Vec<(String, SocketAddr)>,
    /// Who logs in.
    pub user: String,
    /// The keys that are offered.
    pub keys: Vec<PublicKey>,
    /// The host key that they should have.
    pub host_key: Option<PublicKey>,
}

/// Asks all hosts of a question.
pub async fn hosts(question: &Question) -> anyhow::Result<Vec<Accepts>> {
    Tool::require(&[Tool::Ssh])?;
    let folder = tempfile::Builder::new().prefix("hostkit-keys-").tempdir();
    let folder = folder.context("making a folder for the public keys")?;
    let folder = Utf8Path::from_path(folder.path()).context("the folder is not UTF-8")?;
    let mut files = Vec::new();
    for (number, key) in question.keys.iter().enumerate() {
        let file = folder.join(format!("{number}.pub"));
        std::fs::write(&file, key.line() + "\n").context("writing a public key")?;
        files.push(file);
    }
    let all = question.hosts.iter().map(|(name, address)| one(question, name, *address, &files));
    let mut answers: Vec<_> = futures::stream::iter(all).buffer_unordered(AT_ONCE).collect().await;
    answers.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(answers)
}

async fn one(
    question: &Question,
    name: &str,
    address: SocketAddr,
    files: &[Utf8PathBuf],
) -> Accepts {
    let mut answer = Accepts {
        host: name.to_owned(),
        host_key: None,
        is_pools: None,
        keys: Vec::new(),
        problem: None,
    };
    match timeout(PATIENCE, handshake::host_key(address)).await {
        Ok(Ok(key)) => {
            answer.host_key = Some(key.fingerprint());
            answer.is_pools = question.host_key.as_ref().map(|wanted| wanted.is(&key));
        }
        Ok(Err(error)) => answer.problem = Some(format!("{error:#}")),
        Err(_elapsed) => {
            let text = format!("no answer within {} s", PATIENCE.as_secs());
            answer.problem = Some(text);
        }
    }
    if answer.problem.is_some() {
        return answer;
    }
    match accepted(&question.user, address, files).await {
        Ok(keys) => answer.keys = keys,
        Err(error) => answer.problem = Some(error.to_string()),
    }
    answer
}

/// The fingerprints of the keys that the server at `address` would let `user` in with.
///
/// There is no private key for any of them, so no login ever follows. The host key is not checked:
/// nothing that is secret is said, and the handshake has seen it.
async fn accepted(
    user: &str,
    address: SocketAddr,
    files: &[Utf8PathBuf],
) -> Result<Vec<String>, CmdError> {
    let mut ssh = Cmd::new(Tool::Ssh).args(["-F", "none", "-a", "-x", "-T", "-v"]);
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PreferredAuthentications=publickey",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "ConnectTimeout=10",
    ] {
        ssh = ssh.args(["-o", option]);
    }
    for file in files {
        ssh = ssh.args(["-i", file.as_str()]);
    }
    let ssh = ssh.args(["-p".to_owned(), address.port().to_string()]);
    let ssh = ssh.arg(format!("{user}@{}", address.ip())).arg("true").timeout(PATIENCE);
    let mut accepted = Vec::new();
    let heard = |line: &str| {
        if let Some((_, key)) = line.split_once("Server accepts key: ")
            && let Some(fingerprint) = key.split_whitespace().find(|it| it.starts_with("SHA256:"))
        {
            accepted.push(fingerprint.to_owned());
        }
    };
    match Runner::Direct.run_with(&ssh, heard).await {
        // Refused in the end, as it must be.
        Ok(_) | Err(CmdError::Failed { .. }) => Ok(accepted),
        Err(error) => Err(error),
    }
}
