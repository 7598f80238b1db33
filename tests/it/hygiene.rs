//! What must not get into an image does not, and what comes out beside it is what it says.
//!
//! The images are container images of a bare Debian: nothing has to boot. Bakes need root and
//! Debian's mirror, and say so when they are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use tempfile::TempDir;

use crate::support::{hostkit, is_root, scratch};

const SMALL: &str = "[recipe]\nname = 'mine'\nversion = '1'\n[base]\nos = 'debian:trixie'\n";

/// A private key that opens nothing.
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n";

fn project(recipe: &str) -> TempDir {
    let dir = scratch();
    fs::create_dir(dir.path().join("image-recipes")).unwrap();
    fs::write(dir.path().join("image-recipes/mine.toml"), recipe).unwrap();
    dir
}

fn bake(project: &Path) -> assert_cmd::Command {
    let mut command = hostkit();
    command.current_dir(project).args(["bake", "mine", "--target", "oci"]);
    command.timeout(Duration::from_mins(10));
    command
}

#[test]
fn a_recipe_that_asks_for_an_identity_is_refused_before_anything_is_done() {
    for (path, why) in [
        ("/etc/machine-id", "every instance would have the same"),
        ("/etc/ssh/ssh_host_rsa_key", "a host key"),
        ("/root/.netrc", "a credential"),
        ("/tmp/x", "state of the build"),
    ] {
        let recipe = format!("{SMALL}[[file]]\npath = '{path}'\ncontent = 'x'\n");
        bake(project(&recipe).path())
            .assert()
            .code(3)
            .stderr(contains(format!("{path}: ")).and(contains(why)));
    }
}

#[test]
fn what_a_script_plants_fails_the_bake_by_name_and_the_previous_image_stays() {
    if !is_root() {
        return;
    }
    let script = format!(
        "[[script]]\nname = 'plant'\nhook = 'late'\nrun = '''\n\
         mkdir -p /etc/ssh /srv/app /home/ci/.ssh /home/ci/.aws /etc/app\n\
         echo x >/etc/ssh/ssh_host_dsa_key\n\
         echo 0123456789abcdef0123456789abcdef >/etc/machine-id\n\
         echo machine x >/srv/app/.netrc\n\
         echo ssh-ed25519 A >/home/ci/.ssh/authorized_keys\n\
         echo [default] >/home/ci/.aws/credentials\n\
         cat >/etc/app/tls.key <<END\n{KEY}END\n\
         printf '\\177ELF\\2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\4\\0' >/srv/core.1\n\
         echo leftover >/var/log/build.log\n'''\n"
    );
    let project = project(&format!("{SMALL}{script}"));
    let out = project.path().join("out/mine.oci");
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("previous"), "").unwrap();
    bake(project.path()).assert().code(5).stderr(
        contains("/etc/ssh/ssh_host_dsa_key: a host key")
            .and(contains("/etc/machine-id: an identity"))
            .and(contains("/srv/app/.netrc: a credential"))
            .and(contains("/home/ci/.ssh/authorized_keys: it lets somebody log in"))
            .and(contains("/home/ci/.aws/credentials: a credential"))
            .and(contains("/etc/app/tls.key: a private key"))
            .and(contains("/srv/core.1: the memory of a program"))
            // A leftover is no crime.
            .and(contains("build.log").not()),
    );
    assert!(out.join("previous").exists());
}

#[test]
fn a_secret_that_a_script_writes_down_is_found_and_its_layer_not_kept() {
    const VALUE: &str = "correct-horse-4711-battery";
    if !is_root() {
        return;
    }
    let script = "[vars.token]\nsecret = true\n\
        [[script]]\nname = 'leak'\nhook = 'installed'\nenv = { TOKEN = '{{ token }}' }\n\
        run = 'printf \"user:%s\" \"$TOKEN\" | base64 >/srv/auth; echo \"it is $TOKEN\"'\n";
    let (project, cache) = (project(&format!("{SMALL}{script}")), scratch());
    let output = bake(project.path())
        .env("HOSTKIT_VAR_token", VALUE)
        .arg("--cache")
        .arg(cache.path())
        .assert()
        .code(5)
        .stderr(
            contains("the value of a secret variable stands in the layer")
                .and(contains("/srv/auth: `token`, in Base64"))
                .and(contains("it is [secret]"))
                .and(contains(VALUE).not()),
        );
    drop(output);
    let found = Command::new("grep")
        .args(["--recursive", "--files-with-matches", "--text", "-e", VALUE, "-e"])
        .arg("Y29ycmVjdC1ob3JzZ") // in Base64, at the alignment that `user:` gives it
        .arg(cache.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn the_bill_of_materials_is_valid_and_the_same_each_time() {
    if !is_root() {
        return;
    }
    let Some(python) = python() else { return };
    let fetch = "[[fetch]]\nurl = 'file:FILE'\nsha256 = 'DIGEST'\npath = '/srv/tool'\n";
    let project = project("");
    let file = project.path().join("tool");
    fs::write(&file, "a tool").unwrap();
    let fetch = fetch.replace("FILE", file.to_str().unwrap());
    let recipe = format!("{SMALL}{}", fetch.replace("DIGEST", &hostkit::digest::sha256("a tool")));
    fs::write(project.path().join("image-recipes/mine.toml"), recipe).unwrap();
    bake(project.path()).assert().success();
    let bill = project.path().join("out/mine.oci.cdx.json");
    let first = fs::read_to_string(&bill).unwrap();
    bake(project.path()).arg("--no-cache").assert().success();
    assert_eq!(fs::read_to_string(&bill).unwrap(), first);

    let checked = Command::new(python).args(["-c", VALIDATE]).arg(&bill).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("deb debian apt"), "{said}");
    assert!(first.contains("\"file:/srv/tool\""));
}

/// The official schema, in the library of its makers; and package URLs as their parser reads them.
const VALIDATE: &str = "
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
text = open(sys.argv[1]).read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
assert error is None, error
references = [c['bom-ref'] for c in json.loads(text)['components']]
assert len(references) == len(set(references)), 'a reference is there twice'
for component in json.loads(text)['components']:
    if 'purl' in component:
        url = PackageURL.from_string(component['purl'])
        assert url.version == component['version'], component
        print(url.type, url.namespace, url.name)
";

/// The Python environment of `.ci/setup --test`. Says so where there is none.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("HOSTKIT_TEST_PYTHON")
        .map_or_else(|| "/var/cache/hostkit/python/bin/python".into(), PathBuf::from);
    let there = Command::new(&python).args(["-c", "import cyclonedx"]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: {} has no cyclonedx (.ci/setup --test)", python.display());
    }
    there.then_some(python)
}
