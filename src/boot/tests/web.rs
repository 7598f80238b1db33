//! How Jenkins answers, over the wire; a test changes it before a boot.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A Jenkins as it looks from outside.
#[derive(Clone, Debug)]
pub(super) struct Web {
    /// The status of `/login`.
    pub(super) login: u16,
    /// What `/login` shows.
    pub(super) page: &'static str,
    /// The status of `/`.
    pub(super) front: u16,
    /// The status of `/script`.
    pub(super) console: u16,
    /// Which Jenkins it says that it is, if it says so.
    pub(super) version: Option<&'static str>,
    /// The status of what hostkit's user asks for.
    pub(super) user: u16,
    /// The status of a reload, and what it answers.
    pub(super) reload: (u16, &'static str),
    /// What its nodes are, as `/computer/api/json` tells it: the name, whether hostkit has taken it
    /// offline, and how many looks from now it is busy.
    pub(super) nodes: Vec<(&'static str, bool, u32)>,
    /// What it was asked for, with how it was authorised.
    pub(super) asked: Vec<String>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            login: 200,
            page: "",
            front: 403,
            console: 403,
            version: Some("2.541"),
            user: 200,
            reload: (200, ""),
            nodes: Vec::new(),
            asked: Vec::new(),
        }
    }
}

pub(super) type SharedWeb = Arc<Mutex<Web>>;

/// Answers every connection as `web` says.
pub(super) async fn jenkins(web: SharedWeb) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let got = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..got]).into_owned();
            let page = web.lock().unwrap().answer(&request);
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    address
}

impl Web {
    fn answer(&mut self, request: &str) -> String {
        let line = request.lines().next().unwrap_or_default();
        let target = line.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let is_user = request.to_ascii_lowercase().contains("\r\nauthorization: basic ");
        self.asked.push(line.to_owned());
        let computers = self.computers(path, is_user);
        let (status, body) = match path {
            _ if computers.is_some() => (self.user, computers.as_deref().unwrap_or_default()),
            "/login" => (self.login, self.page),
            "/script" => (self.console, ""),
            "/reload-configuration-as-code/" => self.reload,
            "/api/json" if is_user => (self.user, "{\"quietingDown\":false}"),
            "/cancelQuietDown" if is_user => (self.user, ""),
            _ => (self.front, ""),
        };
        let name = self.version.map_or_else(String::new, |it| format!("X-Jenkins: {it}\r\n"));
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\n{name}Content-Length: {length}\r\n\r\n{body}")
    }
    /// Its nodes, or what becomes of one of them.
    fn computers(&mut self, path: &str, is_user: bool) -> Option<String> {
        let path = path.strip_prefix("/computer/").filter(|_| is_user)?;
        if let Some((name, verb)) = path.split_once('/').filter(|_| path != "api/json") {
            let node = self.nodes.iter_mut().find(|node| node.0 == name);
            if self.user == 200 {
                let node = node.expect("such a node is there");
                match verb {
                    "changeOfflineCause" => node.1 = true,
                    "toggleOffline" => node.1 = !node.1,
                    _ => {}
                }
            }
            return Some(String::new());
        }
        let node = |node: &mut (&'static str, bool, u32)| {
            let busy = node.2 > 0;
            node.2 = node.2.saturating_sub(1);
            let why = if node.1 { "hostkit: this agent is about to go" } else { "" };
            serde_json::json!({
                "displayName": node.0, "offline": node.1, "temporarilyOffline": node.1,
                "offlineCauseReason": why, "executors": [{"idle": !busy}], "oneOffExecutors": [],
            })
        };
        let nodes: Vec<_> = self.nodes.iter_mut().map(node).collect();
        Some(serde_json::json!({"computer": nodes}).to_string())
    }
}
