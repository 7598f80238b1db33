//! A host for tests: its files in a folder, a metadata service on loopback, and programs that follow
//! a script.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::aws::imds::Imds;
use crate::doctor::efs::mount::there;
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::scene::{Asked, Case, Here, Scene};
use crate::doctor::efs::table::Observed;
use crate::doctor::{Finding, Gap, Look};
use crate::host::{Efs, HOME, Role};
use crate::lease::ground::Ground;
use crate::sys::Runner;
use crate::sys::runner::Script;

/// The file system that the hosts of tests mount.
pub(crate) const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

/// A host.
pub(crate) struct Stage {
    _folder: TempDir,
    root: Utf8PathBuf,
    pub(crate) asked: Asked,
    pub(crate) observed: Observed,
    pub(crate) runner: Runner,
    pub(crate) imds: Option<Imds>,
    aws: Look<aws_config::SdkConfig>,
}

impl Stage {
    /// A controller with nothing on its disk.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let efs = Efs { id: Some(FILE_SYSTEM.to_owned()), ..Efs::default() };
        let host = Here {
            role: Role::Controller,
            mount_point: HOME.into(),
            efs,
            user: "jenkins".to_owned(),
            jenkins: None,
        };
        let asked = Asked {
            file_system: FILE_SYSTEM.to_owned(),
            region: "eu-west-1".to_owned(),
            host: Some(host),
            benchmark: false,
        };
        let why = "there are no credentials".to_owned();
        Self {
            _folder: folder,
            root,
            asked,
            observed: Observed::default(),
            runner: Script::default().runner().0,
            imds: None,
            aws: Err(Gap { needs: String::new(), denied: false, why }),
        }
    }

    /// Another one whose files are those below `root`.
    pub(crate) fn at(root: &Utf8Path) -> Self {
        Self { root: root.to_owned(), ..Self::new() }
    }

    pub(crate) fn efs(&mut self) -> &mut Efs {
        &mut self.here().efs
    }

    pub(crate) fn here(&mut self) -> &mut Here {
        self.asked.host.as_mut().unwrap()
    }

    /// Where a file of the host is.
    pub(crate) fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.path(path)).unwrap();
        self
    }

    /// Makes a file look as if it was written then.
    pub(crate) fn written(&self, path: &str, when: &str) -> &Self {
        let when: Timestamp = when.parse().unwrap();
        let file = fs::File::options().write(true).open(self.path(path)).unwrap();
        file.set_modified(SystemTime::from(when)).unwrap();
        self
    }

    /// Has this mounted as the home, with these options between commas, and nothing else anywhere.
    pub(crate) fn mount(&mut self, source: &str, kind: &str, options: &str) {
        let mounted = there::Mounted {
            source: source.to_owned(),
            point: HOME.to_owned(),
            kind: kind.to_owned(),
            part: "/".to_owned(),
            options: options.split(',').map(str::to_owned).collect(),
        };
        self.observed.there = Cell::of(there::Seen {
            stack: vec![mounted],
            below: None,
            elsewhere: Vec::new(),
            noted: None,
            tunnels: Vec::new(),
        });
    }

    pub(crate) fn scene(&self) -> Scene<'_> {
        Scene {
            asked: &self.asked,
            observed: &self.observed,
            root: &self.root,
            runner: &self.runner,
            aws: &self.aws,
            imds: self.imds.as_ref(),
            nfs_port: 2049,
            resolver: ([127, 0, 0, 1], 1).into(),
            ground: Ground::Any,
        }
    }

    pub(crate) fn case(&self) -> Case<'_> {
        let now = "2026-11-27T03:00:00Z".parse().unwrap();
        Case { asked: &self.asked, observed: &self.observed, now }
    }

    /// Has a metadata service that holds this, and answers nothing else.
    pub(crate) async fn metadata(&mut self, leaves: &[(&str, &str)], ahead: Duration) {
        let leaves: BTreeMap<String, String> =
            leaves.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
        let leaves = Arc::new(leaves);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let leaves = Arc::clone(&leaves);
                let service = service_fn(move |request| {
                    let reply = reply(&leaves, &request, ahead);
                    async move { Ok::<_, hyper::Error>(reply) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        self.imds = Some(Imds::new(Some(&url), Duration::from_secs(1)).unwrap());
    }
}

fn reply<B>(
    leaves: &BTreeMap<String, String>,
    request: &Request<B>,
    ahead: Duration,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches('/');
    let (_, path) = path.split_once('/').unwrap_or_default();
    let (status, text) = match leaves.get(path) {
        _ if request.method() == hyper::Method::PUT => (200, "TOKEN".to_owned()),
        Some(text) => (200, text.clone()),
        None => (404, String::new()),
    };
    let now = (Timestamp::now() + ahead).to_zoned(jiff::tz::TimeZone::UTC);
    Response::builder()
        .status(status)
        .header("date", jiff::fmt::rfc2822::to_string(&now).unwrap())
        .body(Full::new(Bytes::from(text)))
        .unwrap()
}

/// All of a finding, also of one that passed.
pub(crate) fn told(finding: &Finding) -> String {
    let word = finding.verdict.word();
    let head = format!("{word}  {}  {}", finding.id, finding.says);
    let evidence = finding.evidence.iter().map(|line| format!("      {line}"));
    let fix = finding.fix.iter().map(|line| format!("      > {line}"));
    let lines: Vec<_> = std::iter::once(head).chain(evidence).chain(fix).collect();
    lines.join("\n")
}

/// Some findings, whole.
pub(crate) fn all(findings: &[Finding]) -> String {
    findings.iter().map(told).collect::<Vec<_>>().join("\n")
}
