//! The units that hostkit ships: systemd understands them, and their sandboxes hold.

use std::fs;
use std::process::Command;

use crate::support::{repository, scratch};

/// What `systemd-analyze security` may find at most, in tenths: 0 is safe, 100 is not.
const EXPOSURE: &[(&str, u32)] = &[
    ("hostkit-agents.service", 20),
    ("hostkit-boot.service", 30),
    ("hostkit-keys.service", 20),
    ("hostkit-guard.service", 20),
    ("hostkit-lease.service", 20),
    ("hostkit-logs.service", 25),
    ("hostkit-shield.service", 20),
    ("hostkit-ssh-host-keys.service", 20),
];

/// A root folder with the units and the programs that they start.
fn root_with_units() -> tempfile::TempDir {
    let root = scratch();
    let units = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    for (unit, _) in EXPOSURE {
        fs::copy(repository("systemd").join(unit), units.join(unit)).unwrap();
    }
    // What they are ordered against, and what they start, must be there to be found.
    let targets = [
        "network-online",
        "network-pre",
        "nss-lookup",
        "multi-user",
        "basic",
        "sysinit",
        "shutdown",
    ];
    for target in targets {
        fs::write(units.join(format!("{target}.target")), "[Unit]\n").unwrap();
    }
    fs::write(
        units.join("dbus.socket"),
        "[Socket]\nListenStream=/run/dbus\nService=dbus.service\n",
    )
    .unwrap();
    // Made by the boot, at run time.
    let home = "[Mount]\nWhat=192.0.2.1:/\nWhere=/var/lib/jenkins\n";
    fs::write(units.join("var-lib-jenkins.mount"), home).unwrap();
    for other in ["dbus", "systemd-modules-load", "ssh"] {
        let unit = "[Service]\nExecStart=/usr/bin/true\n";
        fs::write(units.join(format!("{other}.service")), unit).unwrap();
    }
    fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
    let programs = ["hostkit", "ssh-keygen", "rm", "mv", "sync", "true", "echo", "cat", "sh"];
    std::os::unix::fs::symlink("usr/bin", root.path().join("bin")).unwrap();
    let programs = programs.map(|program| format!("bin/{program}"));
    for program in programs.iter().map(String::as_str).chain(["sbin/nft"]) {
        let to = root.path().join("usr").join(program);
        fs::copy("/bin/true", to).unwrap();
    }
    root
}

#[test]
fn systemd_understands_every_line() {
    let root = root_with_units();
    for (unit, _) in EXPOSURE {
        let output = Command::new("systemd-analyze")
            .arg(format!("--root={}", root.path().display()))
            .args(["--man=no", "verify", unit])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let about_us: Vec<_> = said.lines().filter(|line| line.contains("hostkit")).collect();
        assert!(output.status.success() && about_us.is_empty(), "{unit}: {said}");
    }
}

#[test]
fn no_unit_is_more_exposed_than_it_promises() {
    for (unit, most) in EXPOSURE {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", &format!("--threshold={most}")])
            .arg(repository("systemd").join(unit))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let verdict = said.lines().last().unwrap_or_default();
        assert!(output.status.success(), "{unit}: {verdict}");
        assert!(verdict.contains("exposure level"), "{unit}: {said}");
    }
}
