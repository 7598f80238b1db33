//! OpenSSH's client against one machine whose host key is known: how it is called, and what its
//! complaints mean.
//!
//! Never with a host key that nobody vouches for: what is not in the file of known keys is refused.
//! No configuration of the person who calls counts, and no agent: a build does the same everywhere.

use std::fmt;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::cmd::{Cmd, CmdError};
use super::tool::Tool;

/// What ssh itself ends with when it does not get in or is cut off.
pub const FAILED: i32 = 255;

/// The only kind of host key that is looked for: the one that is given to the machine.
const HOST_KEY: &str = "ssh-ed25519";

/// A machine, and how one gets in.
#[derive(Clone, Debug)]
pub struct Login {
    /// Its address or name.
    pub host: String,
    /// Where its server listens.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The private key.
    pub identity: Utf8PathBuf,
    /// The file of known host keys, in which the machine stands as `alias`.
    pub known_hosts: Utf8PathBuf,
    /// Its name for ssh and in `known_hosts`: addresses are used again, ids are not.
    pub alias: String,
    /// A command whose input and output are the connection, in ssh's own words.
    pub proxy: Option<String>,
}

impl Login {
    /// ssh with all options and the destination. What follows is the command.
    pub fn command(&self, timeout: Duration) -> Cmd {
        let mut ssh = Cmd::new(Tool::Ssh).args(["-F", "none", "-a", "-x", "-T"]);
        for option in [
            "BatchMode=yes".to_owned(),
            "LogLevel=ERROR".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "PreferredAuthentications=publickey".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            format!("UserKnownHostsFile=\"{}\"", self.known_hosts),
            format!("HostKeyAlias={}", self.alias),
            // So that a proxy finds both: the name as `%n`, the address as `%h`.
            format!("HostName={}", self.host),
            format!("HostKeyAlgorithms={HOST_KEY}"),
            "ConnectTimeout=30".to_owned(),
            "ServerAliveInterval=15".to_owned(),
            "ServerAliveCountMax=4".to_owned(),
        ] {
            ssh = ssh.args(["-o".to_owned(), option]);
        }
        if let Some(proxy) = &self.proxy {
            ssh = ssh.args(["-o".to_owned(), format!("ProxyCommand={proxy}")]);
            // A proxy is a program of the person who calls: it finds what they have.
            for (name, value) in std::env::vars().filter(|(name, _)| is_for_proxies(name)) {
                ssh = ssh.env(name, value);
            }
        }
        ssh.args(["-i", self.identity.as_str()])
            .args(["-p".to_owned(), self.port.to_string()])
            .args([format!("{}@{}", self.user, self.alias), "--".to_owned()])
            .timeout(timeout)
    }
}

fn is_for_proxies(name: &str) -> bool {
    matches!(name, "HOME" | "PATH" | "USER" | "http_proxy" | "https_proxy" | "no_proxy")
        || name.starts_with("AWS_")
}

/// Why ssh did not get in, as far as its complaint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No packet found its way, or none came back.
    NoRoute,
    /// The machine is there, and nothing listens.
    Refused,
    /// The server does not know the key, or not for this user.
    Login,
    /// The server shows a host key that nobody vouches for.
    HostKey,
    /// The name stands for no address.
    NoName,
    /// The connection was cut.
    Cut,
    /// The proxy command did not work.
    Proxy,
    /// Something else.
    Other,
}

impl Refusal {
    /// What a failed call of ssh means; none where ssh got in and the command failed.
    pub fn of(error: &CmdError) -> Option<Self> {
        match error {
            CmdError::Failed { code: Some(FAILED), stderr, .. } => Some(Self::told(stderr)),
            // It got nowhere, and did not notice.
            CmdError::Timeout { .. } => Some(Self::NoRoute),
            _ => None,
        }
    }

    /// What a complaint of ssh means.
    pub fn told(stderr: &str) -> Self {
        const WORDS: &[(&str, Refusal)] = &[
            ("Host key verification failed", Refusal::HostKey),
            ("REMOTE HOST IDENTIFICATION HAS CHANGED", Refusal::HostKey),
            ("no matching host key type", Refusal::HostKey),
            ("host key is known", Refusal::HostKey),
            ("Permission denied", Refusal::Login),
            ("Too many authentication failures", Refusal::Login),
            ("Could not resolve hostname", Refusal::NoName),
            ("Connection refused", Refusal::Refused),
            ("No route to host", Refusal::NoRoute),
            ("Network is unreachable", Refusal::NoRoute),
            ("Connection timed out", Refusal::NoRoute),
            ("Operation timed out", Refusal::NoRoute),
            ("banner exchange", Refusal::NoRoute),
            ("exec of", Refusal::Proxy),
            ("not found", Refusal::Proxy),
            ("UNKNOWN port 65535", Refusal::Proxy),
            ("Connection closed", Refusal::Cut),
            ("Connection reset", Refusal::Cut),
            ("kex_exchange_identification", Refusal::Cut),
            ("Broken pipe", Refusal::Cut),
            ("not responding", Refusal::Cut),
        ];
        let found = WORDS.iter().find(|(words, _)| stderr.contains(words));
        found.map_or(Self::Other, |(_, refusal)| *refusal)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "there is no route to it",
            Self::Refused => "nothing listens there",
            Self::Login => "the server refuses the user or the key",
            Self::HostKey => "the server shows a host key that nobody vouches for",
            Self::NoName => "its name stands for no address",
            Self::Cut => "the connection is cut",
            Self::Proxy => "the proxy command does not work",
            Self::Other => "ssh does not get in",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_host_key_is_taken_on_trust_and_no_configuration_counts() {
        let login = Login {
            host: "203.0.113.7".into(),
            port: 22,
            user: "admin".into(),
            identity: "/run/k/login".into(),
            known_hosts: "/run/k/known hosts".into(),
            alias: "i-1".into(),
            proxy: Some("aws ssm start-session --target %n".into()),
        };
        let command = login.command(Duration::from_secs(1)).arg("true").to_string();
        assert!(command.starts_with("ssh -F none "), "{command}");
        assert!(command.contains("-o StrictHostKeyChecking=yes "), "{command}");
        assert!(command.contains("-o 'UserKnownHostsFile=\"/run/k/known hosts\"'"), "{command}");
        assert!(command.contains("-o 'ProxyCommand=aws ssm start-session --target %n'"));
        assert!(command.contains("-o HostName=203.0.113.7 "), "{command}");
        assert!(command.ends_with("-p 22 admin@i-1 -- true"), "{command}");
    }

    #[test]
    fn a_complaint_tells_what_to_look_at() {
        for (text, refusal) in [
            ("ssh: connect to host 10.0.0.1 port 22: Connection timed out", Refusal::NoRoute),
            ("ssh: connect to host 10.0.0.1 port 22: No route to host", Refusal::NoRoute),
            ("Connection timed out during banner exchange", Refusal::NoRoute),
            ("ssh: connect to host 10.0.0.1 port 22: Connection refused", Refusal::Refused),
            ("admin@10.0.0.1: Permission denied (publickey).", Refusal::Login),
            (
                "No ED25519 host key is known for i-1 and you have requested strict checking.\n\
                 Host key verification failed.",
                Refusal::HostKey,
            ),
            ("ssh: Could not resolve hostname ci: Name or service not known", Refusal::NoName),
            ("sh: 1: aws: not found\nConnection closed by UNKNOWN port 65535", Refusal::Proxy),
            ("kex_exchange_identification: Connection closed by remote host", Refusal::Cut),
            ("Timeout, server 10.0.0.1 not responding.", Refusal::Cut),
            ("hm", Refusal::Other),
        ] {
            assert_eq!(Refusal::told(text), refusal, "{text}");
        }
    }
}
