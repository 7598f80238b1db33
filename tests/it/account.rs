//! The rehearsal account for tests that act on AWS from outside: `hostkit sim`, in a process of its own,
//! with what is to go wrong and a record of every request.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{python, repository, scratch, send};

/// See the module.
pub(crate) struct Account {
    child: Child,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Account {
    /// Serves an empty account, a hundred times faster than AWS.
    pub(crate) fn open(faults: &str) -> Self {
        Self::with(faults, &[])
    }

    /// The same with more options of `hostkit sim`, the speed among them if it is to be another.
    pub(crate) fn with(faults: &str, options: &[&str]) -> Self {
        let folder = scratch();
        let usual: &[&str] = if options.contains(&"--speed") { &[] } else { &["--speed", "100"] };
        fs::write(folder.path().join("faults.toml"), faults).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
            .args(["sim", "--format", "json", "--faults"])
            .arg(folder.path().join("faults.toml"))
            .arg("--record")
            .arg(folder.path().join("record.jsonl"))
            .args(usual)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        let environment = vec![
            ("AWS_ENDPOINT_URL", text("url")),
            ("AWS_REGION", text("region")),
            ("AWS_DEFAULT_REGION", text("region")),
            ("AWS_ACCESS_KEY_ID", text("access-key-id")),
            ("AWS_SECRET_ACCESS_KEY", text("secret-access-key")),
        ];
        Self { child, folder, environment }
    }

    /// The process that serves it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The region that it is in, if nobody says another.
    pub(crate) fn region(&self) -> &str {
        &self.environment[1].1
    }

    /// Every request since it is there.
    pub(crate) fn requests(&self) -> Vec<Value> {
        recorded(&self.record())
    }

    /// The actions of all requests in a region, in order.
    pub(crate) fn actions(&self, region: &str) -> Vec<String> {
        let requests = self.requests().into_iter();
        let there = requests.filter(|request| request["region"] == region);
        there.map(|request| request["action"].as_str().unwrap().to_owned()).collect()
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("record.jsonl")
    }

    /// What has to be in the environment of a program that is to use it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        self.environment.clone()
    }

    /// hostkit with this account, in a person's folder.
    pub(crate) fn hostkit(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.current_dir(folder).args(args).envs(self.environment.clone());
        command.env("XDG_STATE_HOME", folder.join("state")).env("NO_COLOR", "1");
        command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG");
        command
    }

    /// What a script prints as JSON that has boto3, and a client of a service in a region by
    /// `at('ec2', region)`. None where there is no boto3, which is said.
    pub(crate) fn python(&self, script: &str) -> Option<Value> {
        let head = "import boto3, json\n\
                    def at(service, region=None): return boto3.client(service, region_name=region)\n\
                    def say(told): print(json.dumps(told, default=str))\n\
                    ec2, ebs, ssm = at('ec2'), at('ebs'), at('ssm')\n";
        let mut command = Command::new(python()?);
        command.args(["-c", &format!("{head}{script}")]).envs(self.environment.clone());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        Some(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Every request so far is one that AWS's own client could have sent, and these were among them.
    pub(crate) fn validate(&self, expected: &str) {
        validate(&self.record(), expected);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        send("INT", self.child.id());
        let _ = self.child.wait();
    }
}

/// The requests of a record. The account may be writing the last of them: a line without its end is
/// not there yet.
pub(crate) fn recorded(record: &Path) -> Vec<Value> {
    let text = fs::read(record).unwrap_or_default();
    let whole = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    whole.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Every request in a record is one that AWS's own client could have sent, and these were among them.
pub(crate) fn validate(record: &Path, expected: &str) {
    let Some(python) = python() else { return };
    let script = repository("tests/fixtures/botocore_validate.py");
    let mut command = Command::new(python);
    let output = command.arg(script).arg(record).args(["--expect", expected]).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
}

/// Everything that a program wrote.
pub(crate) fn words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
