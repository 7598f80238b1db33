//! The Parameter Store's content: read from a file, or made up for one rehearsal.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::random;
use crate::error::Fault;
use crate::sys::{Cmd, Runner, Tool};

/// Where hostkit keeps the controller's private key unless `host.toml` says otherwise.
const PRIVATE_KEY: &str = "/devops-tools/jenkins/id_rsa";
/// Where it keeps the public key.
const PUBLIC_KEY: &str = "/devops-tools/jenkins/id_rsa.pub";
/// Where it keeps the administrator's password.
const ADMIN_PASSWORD: &str = "/devops-tools/jenkins/admin_password";

/// What kind of parameter one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Plain text.
    #[default]
    String,
    /// Plain text, separated by commas.
    StringList,
    /// Encrypted: in the clear only for who asks with decryption.
    SecureString,
}

impl Kind {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::StringList => "StringList",
            Self::SecureString => "SecureString",
        }
    }
}

/// One parameter.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its value in the clear.
    pub value: String,
    /// Its kind.
    #[serde(rename = "type", default)]
    pub kind: Kind,
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameter").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// All parameters by name, as an account begins with them: each in one version, in every region.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// The parameters.
    pub by_name: BTreeMap<String, Parameter>,
    /// When all of them were written.
    pub written: Timestamp,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), written: Timestamp::now() }
    }
}

impl Parameters {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, name: &str, kind: Kind, value: impl Into<String>) -> Self {
        self.by_name.insert(name.to_owned(), Parameter { value: value.into(), kind });
        self
    }
}

/// Reads `"/name" = { value = "…", type = "SecureString" }` lines; what the file has is all there
/// is.
pub fn load(path: &Path) -> anyhow::Result<Parameters> {
    let text = std::fs::read_to_string(path)
        .with_context(|| Fault::usage(format!("reading the parameters in {}", path.display())))?;
    parse(&text).with_context(|| {
        Fault::recipe(format!("{} is not a list of parameters", path.display()))
            .hint(r#"a line is: "/name" = { value = "…", type = "SecureString" }"#)
    })
}

fn parse(text: &str) -> anyhow::Result<Parameters> {
    let by_name: BTreeMap<String, Parameter> = toml::from_str(text)?;
    for (name, parameter) in &by_name {
        anyhow::ensure!(!parameter.value.is_empty(), "`{name}` has an empty value");
    }
    Ok(Parameters { by_name, ..Parameters::default() })
}

/// A fresh key pair and a fresh password under hostkit's default names.
pub async fn generate(runner: &Runner, folder: &Path) -> anyhow::Result<Parameters> {
    let (private, public) = key_pair(runner, folder, "jenkins").await?;
    Ok(Parameters::default()
        .with(PRIVATE_KEY, Kind::SecureString, private)
        .with(PUBLIC_KEY, Kind::String, public)
        .with(ADMIN_PASSWORD, Kind::SecureString, random::hex(32)))
}

/// Makes an ed25519 key pair in `folder` and returns both halves.
pub async fn key_pair(
    runner: &Runner,
    folder: &Path,
    name: &str,
) -> anyhow::Result<(String, String)> {
    let file = folder.join(name);
    let path = file.to_str().context("the folder's name is not UTF-8")?;
    let keygen =
        Cmd::new(Tool::SshKeygen).args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]);
    runner.run(&keygen).await.context("making a key pair")?;
    let private = std::fs::read_to_string(&file).context("reading the private key")?;
    let public = std::fs::read_to_string(file.with_extension("pub"))
        .context("reading the public key")?
        .trim_end()
        .to_owned();
    Ok((private, public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lists_names_kinds_and_values() {
        let parameters = parse(
            "\"/a/b\" = { value = 's3cret', type = 'SecureString' }\n\"c\" = { value = 'x' }",
        )
        .unwrap();
        assert_eq!(parameters.by_name["/a/b"].kind, Kind::SecureString);
        assert_eq!(parameters.by_name["c"].kind, Kind::String);
        assert!(!format!("{parameters:?}").contains("s3cret"), "Debug shows no value");
    }

    #[test]
    fn an_unknown_key_or_an_empty_value_is_an_error() {
        assert!(parse("'/a' = { value = 'x', secret = true }").is_err());
        assert!(parse("'/a' = { value = '' }").is_err());
    }
}
