//! `[base]`: what a tree starts from, looked up in the table of distributions.

use super::{Ami, Base, BaseImage};
use crate::error::Fault;
use crate::recipe::platform::{Arch, Os};
use crate::recipe::types;

/// Where Debian keeps its packages by date.
const DEBIAN_SNAPSHOTS: &str = "https://snapshot.debian.org/archive";

/// Where Ubuntu does.
const UBUNTU_SNAPSHOTS: &str = "https://snapshot.ubuntu.com";

/// What `[base]` comes to on `arch`.
pub(super) fn base(written: &types::Base, arch: Arch) -> Result<Base, Fault> {
    let (distribution, suite) = written.release()?;
    let image = image(written)?;
    let ami = match &written.ami {
        Some(ami) => Some(named(ami)?),
        None if image.is_none() && distribution == Os::Amazon => Some(minimal(suite, arch)),
        None => None,
    };
    if image.is_some() && ami.is_some() {
        return Err(Fault::recipe("[base] begins with `image` or with `ami`, not with both"));
    }
    let built = image.is_none() && ami.is_none();
    let sources = if built { sources(written, distribution, suite, arch) } else { Vec::new() };
    let mirror = sources.first().and_then(|line| address(line)).unwrap_or_default().to_owned();
    Ok(Base { distribution, suite: suite.to_owned(), mirror, sources, arch, image, ami })
}

fn image(written: &types::Base) -> Result<Option<BaseImage>, Fault> {
    match (&written.image, &written.sha256) {
        (Some(file), Some(sha256)) => {
            let sha256 = sha256.to_ascii_lowercase();
            Ok(Some(BaseImage { file: file.clone(), sha256 }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(Fault::recipe("[base] image needs its `sha256`")
            .hint("sha256sum FILE prints it; what a bake begins with is verified")),
        (None, Some(_)) => Err(Fault::recipe("[base] sha256 is that of an `image`: name it")),
    }
}

fn named(ami: &types::Ami) -> Result<Ami, Fault> {
    match (&ami.id, &ami.name, &ami.owner, &ami.ssm) {
        (Some(id), None, None, None) => Ok(Ami::Id(id.clone())),
        (None, Some(name), Some(owner), None) => {
            Ok(Ami::Newest { name: name.clone(), owner: owner.clone() })
        }
        (None, None, None, Some(parameter)) => Ok(Ami::Parameter(parameter.clone())),
        (None, Some(_), None, None) => Err(Fault::recipe("[base.ami] name needs an `owner`")
            .hint("anybody may publish an AMI of any name: say whose, as `amazon` or an account")),
        _ => Err(Fault::recipe(
            "[base.ami] needs exactly one of `id`, `ssm`, and `name` with `owner`",
        )),
    }
}

/// Amazon's own pointer to its newest minimal image.
fn minimal(release: &str, arch: Arch) -> Ami {
    let arch = match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "arm64",
    };
    Ami::Parameter(format!(
        "/aws/service/ami-amazon-linux-latest/al{release}-ami-minimal-kernel-default-{arch}"
    ))
}

/// The repositories of a release with its updates. Without the security archive an image would
/// have the kernel and the Java of the last point release.
fn sources(written: &types::Base, os: Os, suite: &str, arch: Arch) -> Vec<String> {
    let (release, security, components) = match os {
        Os::Debian => debian(written),
        Os::Ubuntu => ubuntu(written, arch),
        Os::Amazon => return Vec::new(),
    };
    // What a snapshot's index says of its own age is true and beside the point.
    let option = if written.snapshot.is_some() { "[check-valid-until=no] " } else { "" };
    let mut sources = vec![format!("deb {option}{release} {suite} {components}")];
    if !matches!(suite, "sid" | "unstable") {
        sources.push(format!("deb {option}{release} {suite}-updates {components}"));
        sources.push(format!("deb {option}{security} {suite}-security {components}"));
    }
    sources
}

fn debian(written: &types::Base) -> (String, String, &'static str) {
    let (release, security) = match &written.snapshot {
        Some(moment) => {
            let archive = written.snapshot_mirror.as_deref().unwrap_or(DEBIAN_SNAPSHOTS);
            let archive = archive.trim_end_matches('/');
            (format!("{archive}/debian/{moment}"), format!("{archive}/debian-security/{moment}"))
        }
        None => (
            "http://deb.debian.org/debian".to_owned(),
            "http://deb.debian.org/debian-security".to_owned(),
        ),
    };
    let release = written.mirror.clone().unwrap_or(release);
    (release, written.security_mirror.clone().unwrap_or(security), "main")
}

fn ubuntu(written: &types::Base, arch: Arch) -> (String, String, &'static str) {
    let release = match (&written.snapshot, arch) {
        (Some(moment), _) => {
            let archive = written.snapshot_mirror.as_deref().unwrap_or(UBUNTU_SNAPSHOTS);
            format!("{}/ubuntu/{moment}", archive.trim_end_matches('/'))
        }
        (None, Arch::Amd64) => "http://archive.ubuntu.com/ubuntu".to_owned(),
        (None, Arch::Arm64) => "http://ports.ubuntu.com/ubuntu-ports".to_owned(),
    };
    // Security updates are in the same archive, by suite.
    let release = written.mirror.clone().unwrap_or(release);
    let security = written.security_mirror.clone().unwrap_or_else(|| release.clone());
    (release, security, "main universe")
}

/// The address in a line of `sources.list`.
fn address(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, arch: Arch) -> Result<Base, Fault> {
        base(&toml::from_str(text).unwrap(), arch)
    }

    #[test]
    fn a_release_comes_with_its_updates_from_its_own_mirrors() {
        let debian = of("os = 'debian:trixie'", Arch::Amd64).unwrap();
        assert_eq!(debian.mirror, "http://deb.debian.org/debian");
        assert_eq!(
            debian.sources[2],
            "deb http://deb.debian.org/debian-security trixie-security main"
        );
        let ubuntu = of("os = 'ubuntu:noble'", Arch::Arm64).unwrap();
        assert_eq!(
            ubuntu.sources[0],
            "deb http://ports.ubuntu.com/ubuntu-ports noble main universe"
        );
        assert_eq!(of("os = 'debian:sid'", Arch::Amd64).unwrap().sources.len(), 1);
    }

    #[test]
    fn a_snapshot_is_a_dated_archive_whose_age_is_not_held_against_it() {
        let text = "os = 'debian:trixie'\nsnapshot = '20261101T000000Z'";
        let dated = of(text, Arch::Amd64).unwrap();
        assert_eq!(dated.mirror, "https://snapshot.debian.org/archive/debian/20261101T000000Z");
        assert_eq!(
            dated.sources[2],
            "deb [check-valid-until=no] https://snapshot.debian.org/archive/debian-security/20261101T000000Z trixie-security main"
        );
        let local = of(&format!("{text}\nsnapshot_mirror = 'http://127.0.0.1:1/'"), Arch::Amd64);
        assert_eq!(local.unwrap().mirror, "http://127.0.0.1:1/debian/20261101T000000Z");
    }

    #[test]
    fn amazon_linux_begins_with_an_ami() {
        let minimal = of("os = 'amazon:2023'", Arch::Arm64).unwrap();
        let parameter =
            "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-arm64";
        assert_eq!(minimal.ami, Some(Ami::Parameter(parameter.into())));
        assert!(minimal.sources.is_empty());
        assert!(of("os = 'amazon:2023'\n[ami]\nname = 'al2023-*'", Arch::Amd64).is_err());
        assert!(of("os = 'debian:trixie'\nimage = 'x.qcow2'", Arch::Amd64).is_err());
    }
}
