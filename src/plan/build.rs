//! (Recipe, variables, hashes) -> Plan. The order of application is fixed and cheap-last.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

use super::{Base, Plan, Planned, Test, VERSION, sections};
use crate::digest::sha256;
use crate::error::{Blamed as _, Fault};
use crate::recipe::platform::{Arch, Target};
use crate::recipe::types::{Hook, When};
use crate::recipe::{Recipe, Vars, assets::Asset, is_file};
use crate::step::repository::host_of;
use crate::step::unit::State;
use crate::step::{self, Step};

/// The layout of the disks that this version packs. A new one makes every image a new image.
const IMAGE_LAYOUT: u32 = 1;

/// What was read before planning, so that planning itself is pure.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The processor that is built for.
    pub arch: Arch,
    /// What is made.
    pub target: Target,
    /// The hostkit binary that goes into the image.
    pub agent: AgentBinary,
    /// The files that `[[file]]` sections name, by that name.
    pub assets: BTreeMap<String, Asset>,
    /// The templates that the boot agent renders, by file name.
    pub boot_templates: BTreeMap<String, Asset>,
    /// Package files on this machine: the absolute path and SHA-256, by the name given.
    pub package_files: BTreeMap<String, (String, String)>,
}

/// The hostkit binary that goes into an image.
#[derive(Clone, Debug, Default)]
pub struct AgentBinary {
    /// Its SHA-256. Empty: there is none for this processor, and the plan cannot be applied.
    pub sha256: String,
    /// Where it is on this machine, if it is not the binary that runs.
    pub path: Option<String>,
}

/// Turns a recipe into a plan. Its strings have been rendered; `vars` are for its templates.
pub fn plan(recipe: &Recipe, vars: &Vars, inputs: &Inputs) -> anyhow::Result<Plan> {
    let name = &recipe.recipe.name;
    let base = base(recipe, inputs)?;
    let mut planner = Planner { vars, inputs, base: &base, installs: Vec::new() };
    planner.installs = planner.installs_of(&recipe.packages);
    let steps = planner.steps(recipe).or_blame(|| Fault::recipe(format!("planning `{name}`")))?;
    let tests = planner.tests(recipe)?;
    let mut plan = Plan {
        version: VERSION,
        recipe: name.clone(),
        image_version: recipe.recipe.version.clone(),
        digest: String::new(),
        base,
        target: inputs.target,
        immutable: sections::mount_points(recipe)?,
        steps,
        tests,
    };
    plan.digest = digest(&plan)?;
    Ok(plan)
}

fn digest(plan: &Plan) -> anyhow::Result<String> {
    let steps = plan.steps.iter().cloned().map(Planned::without_places);
    let plan = Plan { steps: steps.collect(), ..plan.clone() };
    Ok(sha256(serde_json::to_vec(&(IMAGE_LAYOUT, &plan)).context("a plan is plain data")?))
}

/// The package files on this machine that a recipe installs: they must be hashed before planning.
pub fn local_files(recipe: &Recipe) -> impl Iterator<Item = &String> {
    let groups = recipe.packages.group.iter().flat_map(|group| &group.install);
    recipe.packages.install.iter().chain(groups).filter(|package| is_file(package))
}

fn base(recipe: &Recipe, inputs: &Inputs) -> anyhow::Result<Base> {
    let Some(base) = &recipe.base else {
        return Err(Fault::recipe(format!("`{}` has no [base]", recipe.recipe.name))
            .hint("add `[base]` with `os = \"debian:trixie\"`, or `extends = \"base\"`")
            .into());
    };
    Ok(super::base::base(base, inputs.arch)?)
}

/// What every section is planned with.
pub(super) struct Planner<'a> {
    pub(super) vars: &'a Vars,
    pub(super) inputs: &'a Inputs,
    pub(super) base: &'a Base,
    /// What `[packages]` and its groups install here.
    pub(super) installs: Vec<String>,
}

impl Planner<'_> {
    /// The table of contents of every image.
    fn steps(&self, recipe: &Recipe) -> anyhow::Result<Vec<Planned>> {
        let mut steps = Vec::new();
        self.each(&mut steps, &recipe.repository, |r| &r.when, Self::repository)?;
        self.scripts(&mut steps, recipe, Hook::Early)?;
        self.each(&mut steps, &recipe.group, |g| &g.when, |_, g| sections::group(g))?;
        self.each(&mut steps, &recipe.user, |u| &u.when, |_, u| sections::user(u))?;
        self.packages(&mut steps, recipe)?;
        self.each(&mut steps, &recipe.fetch, |f| &f.when, |_, f| sections::fetch(f))?;
        self.scripts(&mut steps, recipe, Hook::Installed)?;
        self.agent(&mut steps, recipe);
        sections::sysctl(&mut steps, recipe);
        sections::kernel(&mut steps, recipe);
        self.each(&mut steps, &recipe.directory, |d| &d.when, |_, d| Ok(sections::directory(d)))?;
        self.each(&mut steps, &recipe.file, |f| &f.when, Self::file)?;
        self.host(&mut steps, recipe)?;
        self.each(&mut steps, &recipe.link, |l| &l.when, |_, l| Ok(sections::link(l)))?;
        self.each(&mut steps, &recipe.unit, |u| &u.when, Self::unit)?;
        self.scripts(&mut steps, recipe, Hook::Late)?;
        check(&steps)?;
        self.pins(&steps)?;
        Ok(steps)
    }

    /// apt is told by the host which packages may not come from a repository. What else has that
    /// host could not be installed either.
    fn pins(&self, steps: &[Planned]) -> Result<(), Fault> {
        let repositories = || {
            steps.iter().filter_map(|planned| match &planned.step {
                Step::Repository(repository) => Some(repository),
                _ => None,
            })
        };
        for repository in repositories().filter(|r| !r.packages.is_empty() && r.is_for_apt()) {
            let host = host_of(&repository.uri);
            let of_base = |line: &String| line.split_whitespace().any(|word| host_of(word) == host);
            // What an existing image has for its sources is not known here.
            let archive = ["debian.org", "ubuntu.com"].iter().any(|end| host.ends_with(end));
            let name = &repository.name;
            let other = repositories().find(|r| r.name != *name && host_of(&r.uri) == host);
            let whose = match other {
                Some(other) => format!("of [[repository]] {}", other.name),
                None if archive || !host.is_empty() && self.base.sources.iter().any(of_base) => {
                    "of the base".to_owned()
                }
                None => continue,
            };
            let what = format!(
                "[[repository]] {name} cannot be kept to its `packages`: its host `{host}` is \
                 also that {whose}"
            );
            let hint = "apt tells them apart by their host: leave `packages` out, and pin it in a \
                        [[file]] of /etc/apt/preferences.d, as `Pin: release n=SUITE`";
            return Err(Fault::recipe(what).hint(hint));
        }
        Ok(())
    }

    fn each<T>(
        &self,
        steps: &mut Vec<Planned>,
        sections: &[T],
        when: impl Fn(&T) -> &When,
        make: impl Fn(&Self, &T) -> anyhow::Result<Planned>,
    ) -> anyhow::Result<()> {
        for section in sections {
            if self.applies(when(section)) {
                steps.push(make(self, section)?);
            }
        }
        Ok(())
    }

    pub(super) fn applies(&self, when: &When) -> bool {
        let named = |package: &str| {
            self.installs.iter().any(|p| !is_file(p) && step::packages::name_of(p) == package)
        };
        when.holds(self.base.distribution, self.inputs.arch, self.inputs.target, named)
    }

    fn tests(&self, recipe: &Recipe) -> anyhow::Result<Vec<Test>> {
        let tests = recipe.test.iter().filter(|test| self.applies(&test.when));
        Ok(tests.map(Test::new).collect::<Result<_, _>>()?)
    }
}

/// Two steps about one thing undo each other; and an agent that is enabled must be there.
fn check(steps: &[Planned]) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = steps.iter().find(|planned| !seen.insert(&planned.id)) {
        let fault = Fault::recipe(format!("`{}` is there twice", twice.id));
        return Err(fault
            .hint("say it once, or give each a `when` that excludes the other")
            .into());
    }
    let enabled = |planned: &&Planned| match &planned.step {
        Step::Unit(unit) => {
            unit.name == "hostkit-boot.service" && unit.state == Some(State::Enabled)
        }
        _ => false,
    };
    if steps.iter().find(enabled).is_some() && !seen.contains(&"agent".to_owned()) {
        return Err(Fault::recipe(
            "hostkit-boot.service is enabled and nothing tells it what to be",
        )
        .hint("add [host] with role = \"controller\"; `base` is there to be extended")
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::assets::Assets;
    use crate::recipe::{Given, read_text};

    const JENKINS: &str = "[recipe]\nname = 'x'\n[base]\nos = 'debian:trixie'\n\
        [vars.package]\ndefault = 'jenkins=2.568.2'\n\
        [packages]\ninstall = ['git', '{{ package }}']\n\
        [[repository]]\nname = 'jenkins'\nuri = 'https://x'\nsuite = 'binary/'\n\
        key = [{ url = 'https://x/k', fingerprint = '5E38 6EAD B55F 0150 4CAE  8BCF 7198 F4B7 14AB FC68' }]\n\
        when = { installs = 'jenkins' }\n\
        [[script]]\nname = 'late'\nhook = 'late'\nrun = 'true'\n\
        [[unit]]\nname = 'a.service'\nstate = 'enabled'\n";

    fn plan_of(text: &str, given: &[(String, String)]) -> anyhow::Result<Plan> {
        let given = Given { flags: given.to_vec(), ..Given::default() };
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("jenkins.deb"), "").unwrap();
        let assets = Assets::new(project.path().to_str().unwrap());
        let (recipe, read) = read_text(text, &assets, &given).sound()?;
        let mut inputs = Inputs { arch: Arch::Amd64, ..Inputs::default() };
        for name in local_files(&recipe) {
            inputs.package_files.insert(name.clone(), (format!("/somewhere/{name}"), "00".into()));
        }
        plan(&recipe, &read.vars, &inputs)
    }

    fn ids(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|planned| planned.id.as_str()).collect()
    }

    #[test]
    fn a_repository_goes_when_its_package_comes_from_a_file() {
        let from_repository = plan_of(JENKINS, &[]).unwrap();
        let order = ["repository:jenkins", "packages", "unit:a.service", "script:late"];
        assert_eq!(ids(&from_repository), order);
        let file = [("package".to_owned(), "./jenkins.deb".to_owned())];
        let from_file = plan_of(JENKINS, &file).unwrap();
        assert_eq!(ids(&from_file), &order[1..]);
        assert_ne!(from_file.digest, from_repository.digest);
    }

    #[test]
    fn a_repository_is_kept_to_its_packages_only_where_its_host_is_its_own() {
        let one = |name: &str, uri: &str| {
            format!(
                "[[repository]]\nname = '{name}'\nuri = '{uri}'\nsuite = 'x/'\npackages = ['p']\n\
                 key = [{{ url = 'https://x/k', fingerprint = '{}' }}]\n",
                "5E386EADB55F01504CAE8BCF7198F4B714ABFC68"
            )
        };
        let head = "[recipe]\nname = 'x'\n[base]\nos = 'debian:trixie'\n";
        let planned = |base: &str, repositories: &[String]| {
            plan_of(&format!("{head}{base}{}", repositories.concat()), &[])
        };
        let debian = one("backports", "http://deb.debian.org/debian");
        let (a, b) = (one("a", "https://a.example/a"), one("b", "https://b.example/b"));
        let file = one("f", "file:/srv/f");
        planned("", &[a.clone(), b, file.clone()]).unwrap();
        let mirror = "mirror = 'http://a.example/debian'\n";
        let twin = one("c", "https://a.example/c");
        let twins = [file, one("g", "file:/srv/g")];
        for (base, repositories, whose) in [
            ("", &[debian][..], "`deb.debian.org` is also that of the base"),
            (mirror, std::slice::from_ref(&a), "`a.example` is also that of the base"),
            ("", &[a.clone(), twin], "`a.example` is also that of [[repository]] c"),
            ("", &twins, "`` is also that of [[repository]] g"),
        ] {
            let error = planned(base, repositories).unwrap_err();
            assert!(format!("{error:#}").contains(whose), "{error:#}");
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_digest() {
        let (one, two) = (plan_of(JENKINS, &[]).unwrap(), plan_of(JENKINS, &[]).unwrap());
        assert_eq!(one.digest, two.digest);
    }

    #[test]
    fn bad_input_is_a_fault_of_the_recipe() {
        let missing = "[recipe]\nname='x'\n[base]\nos='debian:trixie'\n[[file]]\npath='/a'\ntemplate='no.tera'\n";
        let no_base = "[recipe]\nname='x'\n[base]\nos='windows:11'\n";
        let two = "[recipe]\nname='x'\n[base]\nos='debian:trixie'\n[[file]]\npath='/a'\ncontent='1'\nsource='b'\n";
        for (text, says) in [(missing, "no.tera"), (no_base, "windows:11"), (two, "exactly one of")]
        {
            let error = plan_of(text, &[]).unwrap_err();
            assert_eq!(crate::error::blame(&error).exit_code(), 3, "{text}");
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
    }

    #[test]
    fn an_empty_variable_leaves_a_setting_to_user_data() {
        let text = "[recipe]\nname = 'x'\n[base]\nos = 'debian:trixie'\n[vars.efs_id]\ndefault = ''\n\
            [host]\nrole = 'controller'\n[host.efs]\nid = '{{ efs_id }}'\ncross_az = true\n";
        let host_toml = |given: &[(String, String)]| {
            let plan = plan_of(text, given).unwrap();
            let Some(Step::File(file)) = plan.steps.last().map(|p| &p.step) else { panic!() };
            assert_eq!(file.path, "/etc/hostkit/host.toml");
            file.content.clone()
        };
        assert!(!host_toml(&[]).contains("id"));
        assert!(
            host_toml(&[("efs_id".into(), "fs-12345678".into())]).contains("id = \"fs-12345678\"")
        );
    }

    #[test]
    fn a_plan_survives_its_json() {
        let plan = plan_of(JENKINS, &[]).unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
