//! What the pages of a Jenkins prove. Pure.

use std::net::SocketAddr;

use crate::error::Fault;
use crate::host::SecurityMode;
use crate::jenkins::{Page, Trouble, Version};

/// Pages, as somebody sees them who has not logged in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `/login`
    pub(super) login: Result<Page, Trouble>,
    /// `/`, where there is a login.
    pub(super) front: Option<Result<Page, Trouble>>,
    /// `/script`, which runs programs; where there is a login.
    pub(super) console: Option<Result<Page, Trouble>>,
}

/// What they prove.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// It is the right one, and strangers are kept out. Its version.
    Serves(String),
    /// It may become so.
    NotYet(String),
    /// It will not.
    Wrong(Fault),
}

/// Judges what was seen at `address`. `expected` is the Jenkins of the image, where it is known.
pub(super) fn judge(
    seen: &Seen,
    address: SocketAddr,
    expected: Option<&Version>,
    security: SecurityMode,
) -> Verdict {
    let version = match program(seen, address, expected) {
        Ok(version) => version,
        Err(verdict) => return verdict,
    };
    let (Some(front), Some(console)) = (&seen.front, &seen.console) else {
        return Verdict::NotYet("/ was not asked for".to_owned());
    };
    let (front, console) = match (front, console) {
        (Ok(front), Ok(console)) => (front, console),
        (Err(trouble), _) => return Verdict::NotYet(format!("/ does not answer: {trouble}")),
        (_, Err(trouble)) => return Verdict::NotYet(format!("/script does not answer: {trouble}")),
    };
    if front.is_wizard {
        return wizard();
    }
    match (front.status, security) {
        _ if console.status == 200 => open(),
        (200, SecurityMode::Local) => open(),
        // A realm of somebody else's sends people to its own login, or the user's own files let
        // everybody read.
        (401 | 403, _) | (200 | 302 | 303 | 307, SecurityMode::Casc) => Verdict::Serves(version),
        (status, _) => Verdict::NotYet(format!("/ answers {status}, and not 403")),
    }
}

/// The version, if it is the program that this image has.
fn program(
    seen: &Seen,
    address: SocketAddr,
    expected: Option<&Version>,
) -> Result<String, Verdict> {
    let login = match &seen.login {
        Ok(page) => page,
        Err(trouble) => {
            return Err(Verdict::NotYet(format!("/login does not answer: {trouble}")));
        }
    };
    if login.is_wizard {
        return Err(wizard());
    }
    if login.status != 200 {
        return Err(Verdict::NotYet(format!("/login answers {}", login.status)));
    }
    let Some(version) = &login.version else {
        return Err(Verdict::Wrong(
            Fault::step(format!("what answers on {address} is not Jenkins"))
                .hint("another program has the port: ss -ltnp"),
        ));
    };
    let found = version.parse::<Version>().ok();
    match expected {
        Some(expected) if found.as_ref() != Some(expected) => Err(Verdict::Wrong(
            Fault::step(format!(
                "what answers on {address} is Jenkins {version}, and this image has {expected}"
            ))
            .hint("another Jenkins has the port (ss -ltnp), or jenkins.war was replaced by hand"),
        )),
        _ => Ok(version.clone()),
    }
}

fn wizard() -> Verdict {
    Verdict::Wrong(
        Fault::step("Jenkins shows its setup wizard, and whoever comes first would own it").hint(
            "something overrides hostkit's JAVA_OPTS (systemctl cat jenkins), or the template \
             jenkins.env.tera has lost -Djenkins.install.runSetupWizard=false",
        ),
    )
}

/// Whoever reaches it may run programs on it: it must not serve a second longer.
fn open() -> Verdict {
    Verdict::Wrong(Fault::step("Jenkins is open to everybody").hint(
        "it did not take the rendered configuration: systemctl cat jenkins; the plug-in \
         `configuration-as-code`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16) -> Page {
        let version = Some("2.568.2".to_owned());
        Page { status, version, identity: None, location: None, is_wizard: false }
    }

    fn told(seen: &Seen, security: SecurityMode) -> String {
        let expected = "2.568.2".parse().unwrap();
        let address = "127.0.0.1:8080".parse().unwrap();
        match judge(seen, address, Some(&expected), security) {
            Verdict::Serves(version) => format!("serves {version}"),
            Verdict::NotYet(problem) => format!("not yet: {problem}"),
            Verdict::Wrong(fault) => format!("wrong: {fault}"),
        }
    }

    fn seen(login: Page, front: u16, console: u16) -> Seen {
        Seen { login: Ok(login), front: Some(Ok(page(front))), console: Some(Ok(page(console))) }
    }

    #[test]
    fn only_the_right_jenkins_that_keeps_strangers_out_serves() {
        use SecurityMode::{Casc, Local};
        let other = Page { version: Some("2.541".to_owned()), ..page(200) };
        let none = Page { version: None, ..page(200) };
        let wizard = Page { is_wizard: true, ..page(200) };
        let mut lines = Vec::new();
        for (what, seen, security) in [
            ("closed", seen(page(200), 403, 403), Local),
            ("single sign-on", seen(page(200), 302, 403), Casc),
            ("single sign-on, not asked for", seen(page(200), 302, 403), Local),
            ("everybody reads", seen(page(200), 200, 403), Casc),
            ("everybody reads, not asked for", seen(page(200), 200, 403), Local),
            ("everybody runs programs", seen(page(200), 200, 200), Casc),
            ("another version", seen(other, 403, 403), Local),
            ("another program", seen(none, 403, 403), Local),
            ("the wizard", seen(wizard, 403, 403), Casc),
            ("loading", seen(page(503), 503, 503), Local),
        ] {
            lines.push(format!("{what}: {}", told(&seen, security)));
        }
        let refused = Trouble::Unreachable("connection refused".to_owned());
        let nobody = Seen { login: Err(refused), front: None, console: None };
        lines.push(format!("nobody: {}", told(&nobody, Local)));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
