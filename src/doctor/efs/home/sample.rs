//! A host for tests, whose children do their work in this process.

use std::sync::Arc;

use camino::Utf8PathBuf;
use jiff::Timestamp;

use crate::aws::imds::Imds;
use crate::doctor::efs::inside::sample::Tree;
use crate::doctor::efs::inside::{Answer, Notebook, Request, answer};
use crate::doctor::efs::scene::{Asked, Case, Here, Scene};
use crate::doctor::efs::table::Observed;
use crate::doctor::{Finding, Gap, Look};
use crate::host::{HOME, Role};
use crate::lease::ground::Ground;
use crate::sys::Runner;
use crate::sys::dialogue::Reply;
use crate::sys::runner::Script;

pub(in crate::doctor::efs) const FS: &str = "fs-0123456789abcdef0";

fn asked(mount_point: Utf8PathBuf) -> Asked {
    let efs = crate::host::HostConfig::default().efs;
    let (role, user) = (Role::Controller, "jenkins".to_owned());
    let jenkins = Some("2.555.3".to_owned());
    let host = Some(Here { role, mount_point, efs, user, jenkins });
    Asked { file_system: FS.to_owned(), region: "eu-west-1".to_owned(), host, benchmark: false }
}

fn now() -> Timestamp {
    "2026-11-20T03:00:00Z".parse().unwrap()
}

/// Judges something that was seen on a controller.
pub(in crate::doctor::efs) fn case(how: impl FnOnce(&Case<'_>) -> Finding) -> Finding {
    let (asked, observed) = (asked(HOME.into()), Observed::default());
    how(&Case { asked: &asked, observed: &observed, now: now() })
}

/// A controller whose file system is a folder of this machine.
pub(in crate::doctor::efs) struct Setting {
    pub(in crate::doctor::efs) tree: Tree,
    pub(in crate::doctor::efs) machine: Tree,
    pub(in crate::doctor::efs) asked: Asked,
    pub(in crate::doctor::efs) observed: Observed,
    aws: Look<aws_config::SdkConfig>,
    runner: Runner,
}

impl Setting {
    pub(in crate::doctor::efs) fn on(tree: Tree) -> Self {
        let script = Script::default().converse("hostkit inner efs --anywhere", |_| {
            Box::new(|line| {
                let request: Request = serde_json::from_str(line).unwrap();
                let answer: Answer = answer(&request, Ground::Any, &Arc::new(Notebook::default()));
                Reply::Line(serde_json::to_string(&answer).unwrap())
            })
        });
        Self::with(tree, script)
    }

    pub(in crate::doctor::efs) fn with(tree: Tree, script: Script) -> Self {
        let machine = Tree::empty();
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        machine.put(
            "etc/passwd",
            &format!(
                "root:x:0:0::/root:/bin/sh\njenkins:x:{uid}:{gid}::/var/lib/jenkins:/bin/sh\n"
            ),
        );
        let aws = Err(Gap { needs: "credentials".into(), denied: false, why: "none".into() });
        let (asked, (runner, _)) = (asked(tree.top().to_owned()), script.runner());
        Self { tree, machine, asked, observed: Observed::default(), aws, runner }
    }

    pub(in crate::doctor::efs) fn here(&mut self) -> &mut Here {
        self.asked.host.as_mut().unwrap()
    }

    pub(in crate::doctor::efs) fn scene(&self) -> Scene<'_> {
        Scene {
            asked: &self.asked,
            observed: &self.observed,
            root: self.machine.top(),
            runner: &self.runner,
            aws: &self.aws,
            imds: None::<&Imds>,
            nfs_port: 2049,
            resolver: "127.0.0.1:53".parse().unwrap(),
            ground: Ground::Any,
        }
    }

    pub(in crate::doctor::efs) fn case(&self) -> Case<'_> {
        Case { asked: &self.asked, observed: &self.observed, now: now() }
    }

    /// What a finding says, free of where this test keeps its files.
    pub(in crate::doctor::efs) fn told(&self, finding: &Finding) -> String {
        let top = self.tree.top().as_str();
        crate::doctor::render(std::slice::from_ref(finding)).replace(top, HOME)
    }
}
