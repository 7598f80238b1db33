//! The packages of a tree: dpkg's by reading its status file, rpm's by asking rpm.

use anyhow::Context as _;

use crate::sys::{Cmd, Host, Tool};

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The type of package URL: `deb` or `rpm`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version, with the release.
    pub version: String,
    /// What it runs on; `all` and `noarch` on everything.
    pub arch: String,
    /// What rpm counts before versions, unless it is 0. dpkg has it in the version.
    pub epoch: Option<String>,
    /// The source that it was built from, where that is called something else.
    pub source: Option<String>,
}

/// Everything that is installed, in order of names.
pub async fn installed(host: &Host) -> anyhow::Result<Vec<Package>> {
    let mut packages = Vec::new();
    if let Some(text) = host.root.read_text("/var/lib/dpkg/status")? {
        packages.extend(text.split("\n\n").filter_map(from_dpkg));
    }
    let has_rpm = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"]
        .into_iter()
        .map(|folder| host.root.list(folder))
        .collect::<Result<Vec<_>, _>>()?;
    if has_rpm.iter().any(|names| !names.is_empty()) && host.root.exists("/usr/bin/rpm")? {
        let format = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SOURCERPM}\\n";
        let cmd = Cmd::new(Tool::Rpm).args(["--query", "--all", "--queryformat", format]);
        let list = host.runner.run(&cmd).await.context("listing packages")?.text();
        packages.extend(list.lines().filter_map(from_rpm));
    }
    packages.sort();
    Ok(packages)
}

/// One paragraph of dpkg's status file, if the package is fully installed.
fn from_dpkg(paragraph: &str) -> Option<Package> {
    let field = |name: &str| {
        let mut fields = paragraph.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned())
    };
    if !field("Status")?.ends_with(" ok installed") {
        return None;
    }
    let name = field("Package")?;
    // `gcc-14 (14.2.0-19)` where its version is another.
    let source = field("Source").map(|source| match source.split_once(" (") {
        Some((source, version)) => format!("{source}@{}", version.trim_end_matches(')')),
        None => source,
    });
    Some(Package {
        kind: "deb",
        version: field("Version")?,
        arch: field("Architecture")?,
        epoch: None,
        source: source.filter(|source| *source != name),
        name,
    })
}

fn from_rpm(line: &str) -> Option<Package> {
    let fields: Vec<_> = line.split('\t').collect();
    let [name, epoch, version, arch, source] = fields[..] else { return None };
    // The keys that rpm trusts are listed as if they were packages.
    if name == "gpg-pubkey" {
        return None;
    }
    Some(Package {
        kind: "rpm",
        name: name.to_owned(),
        version: version.to_owned(),
        arch: arch.to_owned(),
        epoch: Some(epoch).filter(|epoch| *epoch != "0").map(str::to_owned),
        source: Some(source).filter(|source| *source != "(none)").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fully_installed_is_read_from_dpkgs_file() {
        let text = "Package: libssl3t64\nStatus: install ok installed\nArchitecture: amd64\n\
            Source: openssl\nVersion: 3.5.1-1\nDescription: x\n Package: not this\n\n\
            Package: nano\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 8\n\n\
            Package: git\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 1:2.47.3-0\n\
            Source: git (1:2.47.3)\n";
        let packages: Vec<_> = text.split("\n\n").filter_map(from_dpkg).collect();
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].source.as_deref(), Some("openssl"));
        assert_eq!(packages[1].version, "1:2.47.3-0");
        assert_eq!(packages[1].source.as_deref(), Some("git@1:2.47.3"));
    }

    #[test]
    fn rpms_lines_are_packages_but_for_its_keys() {
        let line = "openssl-libs\t1\t3.2.2-1.amzn2023\tx86_64\topenssl-3.2.2-1.amzn2023.src.rpm";
        let package = from_rpm(line).unwrap();
        assert_eq!(package.epoch.as_deref(), Some("1"));
        assert_eq!(package.version, "3.2.2-1.amzn2023");
        assert_eq!(from_rpm("gpg-pubkey\t0\td832c631-6515\t(none)\t(none)"), None);
    }
}
