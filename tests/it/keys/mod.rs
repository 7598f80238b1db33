//! `hostkit keys`: the binary as a person runs it against an account of the rehearsal (`person`), and
//! hosts that read their keys again as the real agent, with a real SSH server that lets in or not
//! (`hosts`).

mod hosts;
mod person;

use std::path::Path;
use std::process::{Command, Output};

use hostkit::keys::PublicKey;
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::parameters::{Kind, Parameters};
use serde_json::Value;
use tempfile::TempDir;

use crate::account::{recorded, validate, words};
use crate::support::scratch;

const REGION: &str = "eu-west-1";
const PRIVATE: &str = "/devops-tools/jenkins/id_rsa";
const LIST: &str = "/devops-tools/jenkins/id_rsa.pub";
const NEXT: &str = "/devops-tools/jenkins/id_rsa.next";

/// An account, and a person's folder.
struct Stage {
    cloud: Cloud,
    folder: TempDir,
}

impl Stage {
    fn empty() -> Self {
        Self::with(Parameters::default())
    }

    fn with(parameters: Parameters) -> Self {
        let folder = scratch();
        let cloud = Cloud::open(Options {
            record: Some(folder.path().join("record.jsonl")),
            parameters,
            ..Options::default()
        });
        Self { cloud: cloud.unwrap(), folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.current_dir(self.path()).arg("keys").args(line.split_whitespace());
        command.envs(self.cloud.environment());
        command.env("NO_COLOR", "1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG");
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn said(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A parameter's value and kind as they are.
    fn stored(&self, name: &str) -> Option<(String, Kind)> {
        let mut account = self.cloud.account.lock().unwrap();
        let (_, stored) = account.region(REGION).parameters.get(name)?;
        let latest = stored.latest()?;
        Some((latest.value.clone(), latest.kind))
    }

    fn value(&self, name: &str) -> String {
        self.stored(name).unwrap_or_else(|| panic!("{name} is there")).0
    }

    fn requests(&self) -> Vec<Value> {
        recorded(&self.path().join("record.jsonl"))
    }

    fn count(&self, action: &str) -> usize {
        self.requests().iter().filter(|it| it["action"] == action).count()
    }

    /// Every request is one that AWS's own client could have sent, and these were among them.
    fn validate(&self, expected: &str) {
        validate(&self.path().join("record.jsonl"), expected);
    }

    /// The keys of the list.
    fn listed(&self) -> Vec<PublicKey> {
        hostkit::keys::lines(&self.value(LIST)).0
    }

    /// The public half of the private key.
    fn in_use(&self) -> PublicKey {
        hostkit::keys::PrivateKey::read(&self.value(PRIVATE)).unwrap().public().unwrap().clone()
    }

    /// What must hold at any time: the key that controllers use is let in.
    fn holds(&self) {
        let used = self.in_use();
        assert!(self.listed().iter().any(|key| key.is(&used)), "nobody lets the private key in");
    }
}
