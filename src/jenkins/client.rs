//! Asks the Jenkins of this machine as hostkit's own user: over loopback, with the token of this
//! boot, and for as little as there is to ask.
//!
//! The user's rights are Overall/Read, Overall/Manage, Job/Read, Agent/Connect and Agent/Disconnect: it
//! can quiet Jenkins, see what builds and take agents offline, and cannot run a program on it or read a
//! secret. The configuration is reloaded by another
//! token, that of the configuration-as-code plugin, which can do nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::http::{self, Answer, Trouble};
use super::token::Tokens;

/// For a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// For a reload: nodes are written to the home one by one.
const RELOAD_PATIENCE: Duration = Duration::from_mins(5);

/// Classes of what an executor runs that goes on by itself after a restart.
const RESUMABLE: &str = "org.jenkinsci.plugins.workflow.";

/// The class of a node that is there whether anything is built or not.
const AGENT: &str = "hudson.slaves.SlaveComputer";

/// A stage of a pipeline, which has an executor of its own beside that of the pipeline.
const STAGE: &str = "$PlaceholderExecutable";

/// A Jenkins, and who asks it.
pub struct Client {
    address: SocketAddr,
    authorization: HeaderValue,
    reload: Zeroizing<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Whether Jenkins takes new builds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quiet {
    /// It starts none.
    #[serde(default, rename = "quietingDown")]
    pub is_quiet: bool,
    /// What people read meanwhile.
    #[serde(default, rename = "quietDownReason")]
    pub reason: Option<String>,
}

/// A build that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Build {
    /// The name of the node on which it runs.
    pub node: String,
    /// Its address, where hostkit may see it.
    pub url: Option<String>,
    /// Whether it goes on after Jenkins was restarted: a pipeline does, a freestyle build is lost.
    pub is_resumable: bool,
}

/// What Jenkins builds, and where it could.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Computers {
    /// The builds that run, each once, sorted by the node.
    pub builds: Vec<Build>,
    /// The nodes that it knows: not itself, and not those that a cloud makes for a build.
    pub agents: usize,
    /// Of these, how many are connected.
    pub agents_online: usize,
}

/// How the nodes stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// All but the controller itself.
    pub total: usize,
    /// Of these, the names of those that are not connected.
    pub offline: Vec<String>,
}

impl Client {
    /// Asks `address` as `user` with these tokens.
    pub fn new(address: SocketAddr, user: &str, tokens: &Tokens) -> Self {
        let pair = Zeroizing::new(format!("{user}:{}", tokens.api.as_str()));
        let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        let mut authorization =
            HeaderValue::from_str(&text).expect("base64 is allowed in a header");
        authorization.set_sensitive(true);
        Self { address, authorization, reload: tokens.reload.clone() }
    }

    /// Starts no more builds; those that run go on. `message` is what people read.
    pub async fn quiet_down(&self, message: &str) -> Result<(), Trouble> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("block", "false")
            .append_pair("message", message)
            .finish();
        self.post(&format!("/quietDown?{query}"), "quiet it down").await
    }

    /// Takes builds again.
    pub async fn cancel_quiet_down(&self) -> Result<(), Trouble> {
        self.post("/cancelQuietDown", "let it take builds again").await
    }

    /// Whether it takes new builds.
    pub async fn quiet(&self) -> Result<Quiet, Trouble> {
        self.get("/api/json?tree=quietingDown,quietDownReason", "say whether it is quiet").await
    }

    /// The builds that run, each once, sorted by the node.
    pub async fn builds(&self) -> Result<Vec<Build>, Trouble> {
        Ok(self.computers().await?.builds)
    }

    /// What it builds, and where it could.
    pub async fn computers(&self) -> Result<Computers, Trouble> {
        const TREE: &str = "executors[idle,currentExecutable[url]],\
                            oneOffExecutors[idle,currentExecutable[url]]";
        let path = format!("/computer/api/json?tree=computer[displayName,offline,{TREE}]");
        let set: ComputerSet = self.get(&path, "name its builds").await?;
        let agents = set.computer.iter().filter(|computer| computer.is_agent());
        let (agents, online) = (agents.clone().count(), agents.filter(|it| !it.offline).count());
        let mut builds: Vec<_> = set.computer.into_iter().flat_map(Computer::builds).collect();
        builds.sort();
        Ok(Computers { builds, agents, agents_online: online })
    }

    /// How the nodes stand.
    pub async fn nodes(&self) -> Result<Nodes, Trouble> {
        const PATH: &str = "/computer/api/json?tree=computer[displayName,offline]";
        let set: ComputerSet = self.get(PATH, "name its nodes").await?;
        let others = set.computer.into_iter().filter(|computer| !computer.is_controller());
        let mut nodes = Nodes::default();
        for computer in others {
            nodes.total += 1;
            if computer.offline {
                nodes.offline.push(computer.name);
            }
        }
        Ok(nodes)
    }

    /// The version that it says that it has.
    pub async fn version(&self) -> Result<String, Trouble> {
        const WHAT: &str = "say its version";
        let answer = self.ask(Method::GET, "/api/json?tree=mode", PATIENCE).await?;
        let version = check(&answer, WHAT).map(|()| answer.header("x-jenkins"))?;
        version.ok_or_else(|| unexpected(WHAT, "without X-Jenkins"))
    }

    /// Has it read its configuration as code again. It answers when it has, and why if it could not.
    pub async fn reload(&self) -> Result<(), Trouble> {
        const WHAT: &str = "read its configuration again";
        // Not by the user's token: this works with every realm, and before any user is known.
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("casc-reload-token", &self.reload)
            .finish();
        let path = Zeroizing::new(format!("/reload-configuration-as-code/?{query}"));
        let asked = http::ask(self.address, Method::POST, &path, None, RELOAD_PATIENCE).await?;
        match asked.status {
            500 => Err(unexpected(WHAT, &reason(&asked.body))),
            404 => Err(unexpected(WHAT, "it has no such token, or not the plug-in")),
            _ => check(&asked, WHAT),
        }
    }

    pub(super) async fn post(&self, path: &str, what: &'static str) -> Result<(), Trouble> {
        let answer = self.ask(Method::POST, path, PATIENCE).await?;
        check(&answer, what)
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        what: &'static str,
    ) -> Result<T, Trouble> {
        let answer = self.ask(Method::GET, path, PATIENCE).await?;
        check(&answer, what)?;
        serde_json::from_slice(&answer.body).map_err(|error| unexpected(what, &error.to_string()))
    }

    /// An API token spares the crumb that a password would need.
    async fn ask(&self, method: Method, path: &str, patience: Duration) -> Result<Answer, Trouble> {
        http::ask(self.address, method, path, Some(self.authorization.clone()), patience).await
    }
}

/// A redirection is how Jenkins answers what it has done, unless it leads to a login.
fn check(answer: &Answer, what: &'static str) -> Result<(), Trouble> {
    let to_login = |location: String| {
        ["/login", "/securityRealm/", "/oauth", "/saml"].iter().any(|it| location.contains(it))
    };
    match answer.status {
        301..=303 | 307 | 308 if answer.header("location").is_some_and(to_login) => {
            Err(Trouble::Refused { status: answer.status, what })
        }
        200..=299 | 301..=303 | 307 | 308 => Ok(()),
        status @ (401 | 403) => Err(Trouble::Refused { status, what }),
        503 => Err(Trouble::Busy),
        status => Err(unexpected(what, &status.to_string())),
    }
}

fn unexpected(what: &'static str, answer: &str) -> Trouble {
    Trouble::Unexpected { what, answer: answer.to_owned() }
}

/// What a failed reload says, in one line.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Failed {
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Failed { message }) => message.lines().next().unwrap_or_default().to_owned(),
        Err(_) => "500, without a reason: journalctl -u jenkins has it".to_owned(),
    }
}

#[derive(Debug, Deserialize)]
struct ComputerSet {
    #[serde(default)]
    computer: Vec<Computer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Computer {
    #[serde(default, rename = "_class")]
    class: String,
    #[serde(rename = "displayName")]
    name: String,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    executors: Vec<Executor>,
    #[serde(default)]
    one_off_executors: Vec<Executor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Executor {
    #[serde(default)]
    idle: bool,
    #[serde(default)]
    current_executable: Option<Executable>,
}

#[derive(Debug, Deserialize)]
struct Executable {
    #[serde(default, rename = "_class")]
    class: String,
    #[serde(default)]
    url: Option<String>,
}

impl Computer {
    fn is_controller(&self) -> bool {
        self.class.ends_with("$MasterComputer")
    }

    /// Clouds have classes of their own for theirs, which come and go with the builds.
    fn is_agent(&self) -> bool {
        self.class.is_empty() || self.class == AGENT
    }

    fn builds(self) -> Vec<Build> {
        let Self { name, executors, one_off_executors, .. } = self;
        let is_stage = |executor: &Executor| {
            executor.current_executable.as_ref().is_some_and(|it| it.class.ends_with(STAGE))
        };
        let all = executors.into_iter().chain(one_off_executors);
        let busy = all.filter(|it| !it.idle && !is_stage(it));
        let build = |executor: Executor| {
            let what = executor.current_executable;
            Build {
                node: name.clone(),
                // What hostkit may not see may be lost.
                is_resumable: what.as_ref().is_some_and(|it| it.class.starts_with(RESUMABLE)),
                url: what.and_then(|it| it.url),
            }
        };
        busy.map(build).collect()
    }
}
