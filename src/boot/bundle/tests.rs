//! A bundle of a host that is full of secrets has none of them.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8PathBuf;
use flate2::read::GzDecoder;

use super::*;
use crate::sys::runner::Script;

const PASSWORD: &str = "correct-horse-battery";
const KEY: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2g";

fn host() -> (tempfile::TempDir, Machine, Utf8PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let pem =
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY}\n-----END OPENSSH PRIVATE KEY-----\n");
    put("run/hostkit/secrets/agent_key", &pem);
    put("run/hostkit/secrets/admin_password", PASSWORD);
    put(
        "run/hostkit/host.toml",
        "role = \"agent\"\n[aws]\nsecret_access_key = \"wJalrXUtnFEMI\"\n",
    );
    put("proc/self/mountinfo", "22 1 259:3 / / rw shared:1 - ext4 /dev/root rw\n");
    put("proc/cmdline", "console=ttyS0 token=hunter22");
    let said = format!(
        "curl -u admin:{PASSWORD} failed\n{pem}Authorization: Bearer abcdef\n\
         AKIAIOSFODNN7EXAMPLE\nhttps://u:{PASSWORD}@ci/"
    );
    let (runner, _) = Script::default()
        .answer("journalctl --boot --quiet --no-pager --output=short-iso-precise", &said)
        .fail("systemctl show jenkins.service", 1, &format!("no: {PASSWORD}"))
        .answer("systemctl show", &format!("Environment=PASSWORD={PASSWORD}"))
        .runner();
    let path = root.join("bundle.tar.gz");
    (
        directory,
        Machine {
            root,
            runner,
            imds: Some("http://127.0.0.1:1".into()),
            imds_budget: Duration::ZERO,
            ..Machine::default()
        },
        path,
    )
}

fn unpacked(path: &Utf8Path) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(path).unwrap()));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name, text)
    });
    entries.collect()
}

#[tokio::test]
async fn no_secret_is_in_a_bundle_and_what_is_missing_is_named() {
    let (_directory, machine, path) = host();
    let bundle = write(&machine, &path).await.unwrap();
    let files = unpacked(&path);
    assert_eq!(files[0].0, "hostkit-support/MANIFEST.txt");
    for (name, text) in &files {
        for secret in [PASSWORD, KEY, "wJalrXUtnFEMI", "hunter22", "AKIAIOSFODNN7EXAMPLE", "abcdef"]
        {
            assert!(!text.contains(secret), "{name}: {secret}");
        }
    }
    let text = |name: &str| {
        let name = format!("hostkit-support/{name}");
        &files.iter().find(|(it, _)| *it == name).unwrap_or_else(|| panic!("{name}")).1
    };
    assert!(text("journal/hostkit-boot.service.txt").starts_with("curl -u admin:[secret] failed"));
    assert!(text("host/effective.toml").contains("role = \"agent\""));
    assert!(text("system/mountinfo.txt").contains("/dev/root"));
    let refused =
        bundle.parts.iter().find(|part| part.name == "units/jenkins.service.txt").unwrap();
    assert!(refused.problem.as_ref().unwrap().contains("no: [secret]"), "{refused:?}");
    assert!(bundle.render().contains("status.txt  there is no report"), "{}", bundle.render());

    let again = write(&machine, &path).await.unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_part_is_cut_to_its_end() {
    let (text, problem) = cut("é".repeat(LARGEST));
    assert!(text.len() <= LARGEST && text.ends_with('é'));
    assert_eq!(problem.as_deref(), Some("the last MiB of 2 MiB"));
}
