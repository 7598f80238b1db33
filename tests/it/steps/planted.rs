//! Links that were planted in a tree lead no step out of it, whatever it writes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use hostkit::digest::sha256;
use proptest::prelude::*;
use serde_json::Value;

use super::Bench;
use crate::engine::run;
use crate::support::is_root;

/// Every kind of step that writes without a program.
const KINDS: &str = "[sysctl]\n\"net.ipv4.ip_forward\" = 1\n\
    [kernel]\nmodules = ['nfs']\nblacklist = ['pcspkr']\ncommand_line = ['nosmt']\n\
    [[directory]]\npath = '/srv/dir/deep'\n[[file]]\npath = '/srv/file'\ncontent = 'x'\n\
    [[link]]\npath = '/srv/link'\nto = 'x'\n\
    [[unit]]\nname = 'a.service'\ndrop_in = [{ name = '1.conf', content = 'x' }]\n";

/// Where links are planted.
const PLACES: &[&str] = &[
    "etc/sysctl.d",
    "etc/modules-load.d",
    "etc/modprobe.d/60-hostkit.conf",
    "etc/default/grub.d",
    "etc/systemd",
    "etc/systemd/system/a.service.d",
    "usr/share/hostkit",
    "usr",
    "srv",
    "srv/dir",
    "srv/file",
    "srv/link",
    "srv/fetched",
    "srv/unpacked",
    "srv/unpacked/sub",
    "var/lib/hostkit",
    "var",
];

fn targets(outside: &Path) -> Vec<String> {
    let outside = outside.display();
    vec![
        format!("{outside}"),
        format!("{outside}/file"),
        "../../../../../../../../../..".to_owned() + &outside.to_string(),
        "/".to_owned(),
        "..".to_owned(),
        "/nowhere/at/all".to_owned(),
        "file".to_owned(),
    ]
}

/// The names and contents of all that is in a folder.
fn contents(folder: &Path) -> Vec<u8> {
    run(Command::new("tar").arg("-C").arg(folder).args(["--sort=name", "-cf", "-", "."]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_planted_link_leads_no_step_out_of_the_tree(
        links in proptest::collection::vec((0..PLACES.len(), 0..7usize), 1..6)
    ) {
        if !is_root() {
            return Ok(());
        }
        let bench = Bench::new();
        let outside = bench.folder.path().join("outside");
        bench.write("outside/file", "mine\n");
        bench.write("outside/sub/file", "mine\n");
        let before = contents(&outside);
        for (place, target) in links {
            let place = bench.root().join(PLACES[place]);
            let parent = place.parent().unwrap();
            // Through a link that is there already, one would be planted outside by the test itself.
            let real = parent.ancestors().take_while(|p| *p != bench.root());
            if real.into_iter().any(std::path::Path::is_symlink) || place.symlink_metadata().is_ok() {
                continue;
            }
            fs::create_dir_all(parent).unwrap();
            std::os::unix::fs::symlink(&targets(&outside)[target], place).unwrap();
        }
        // One at a time: a step that is refused must not spare the others the trial.
        for plan in plans() {
            bench.write("plan.json", plan);
            let end = bench.apply(&[]);
            prop_assert!(matches!(end.code, 0 | 5), "{:#?}", end);
        }
        prop_assert_eq!(contents(&outside), before);
    }
}

/// A plan for each step of each kind.
fn plans() -> &'static [String] {
    static PLANS: OnceLock<(Bench, Vec<String>)> = OnceLock::new();
    let (_, plans) = PLANS.get_or_init(|| {
        let bench = Bench::new();
        let tool = bench.write("served/tool", "tool\n");
        bench.write("served/sub/file", "packed\n");
        let served = bench.folder.path().join("served");
        run(Command::new("tar").args(["-cf", "a.tar", "sub"]).current_dir(&served));
        let archive = sha256(fs::read(served.join("a.tar")).unwrap());
        let fetches = format!(
            "[[fetch]]\nurl = 'file://{}'\nsha256 = '{}'\npath = '/srv/fetched'\n\
             [[fetch]]\nurl = 'file://{}/a.tar'\nsha256 = '{archive}'\npath = '/srv/unpacked'\n\
             unpack = true\n",
            tool.display(),
            sha256("tool\n"),
            served.display()
        );
        let path = bench.plan(&(KINDS.to_owned() + &fetches));
        let plan: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let one = |step: &Value| {
            let mut one = plan.clone();
            one["steps"] = Value::Array(vec![step.clone()]);
            one.to_string()
        };
        let plans: Vec<_> = plan["steps"].as_array().unwrap().iter().map(one).collect();
        assert_eq!(plans.len(), 8);
        (bench, plans)
    });
    plans
}
