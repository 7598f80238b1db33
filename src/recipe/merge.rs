//! A recipe on top of its parent: named things replace their namesakes, lists grow, tables merge.

use super::types::{Header, Kernel, Packages, Recipe};
use crate::host;

impl Recipe {
    /// This recipe with `parent` below it.
    #[must_use]
    pub fn on(self, parent: Self) -> Self {
        let mut vars = parent.vars;
        vars.extend(self.vars);
        let mut settings = parent.host;
        host::merge(&mut settings, self.host);
        let mut sysctl = parent.sysctl;
        sysctl.extend(self.sysctl);
        Self {
            recipe: Header { extends: parent.recipe.extends, ..self.recipe },
            base: self.base.or(parent.base),
            vars,
            repository: stack(parent.repository, self.repository, |r| r.name.clone()),
            packages: packages(parent.packages, self.packages),
            group: stack(parent.group, self.group, |g| g.name.clone()),
            user: stack(parent.user, self.user, |u| u.name.clone()),
            sysctl,
            kernel: kernel(parent.kernel, self.kernel),
            directory: stack(parent.directory, self.directory, |d| d.path.clone()),
            file: stack(parent.file, self.file, |f| f.path.clone()),
            link: stack(parent.link, self.link, |l| l.path.clone()),
            unit: stack(parent.unit, self.unit, |u| u.name.clone()),
            fetch: stack(parent.fetch, self.fetch, |f| f.path.clone()),
            script: stack(parent.script, self.script, |s| s.name.clone()),
            test: stack(parent.test, self.test, |t| t.name.clone()),
            host: settings,
        }
    }
}

/// The parent's things, then the child's. What the child says of a name takes the place of what
/// the parent said of it: the first of the child's namesakes stands where the parent's stood.
fn stack<T>(parent: Vec<T>, child: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let mut children: Vec<Option<T>> = child.into_iter().map(Some).collect();
    let mut all = Vec::new();
    for thing in parent {
        let name = key(&thing);
        let mine = |slot: &&mut Option<T>| slot.as_ref().is_some_and(|c| key(c) == name);
        let mut namesakes: Vec<T> =
            children.iter_mut().filter(mine).filter_map(Option::take).collect();
        if namesakes.is_empty() {
            // Two of the parent's may share a name (for different processors, say): both go.
            let replaced = all.iter().any(|other: &(bool, T)| other.0 && key(&other.1) == name);
            if !replaced {
                all.push((false, thing));
            }
        } else {
            all.extend(namesakes.drain(..).map(|c| (true, c)));
        }
    }
    let rest = children.into_iter().flatten().map(|c| (true, c));
    all.into_iter().chain(rest).map(|(_, thing)| thing).collect()
}

/// A child that says the same of a package as its parent has the last word: what it installs is
/// not removed, and the other way round.
fn packages(parent: Packages, child: Packages) -> Packages {
    let without = |list: Vec<String>, other: &[String]| -> Vec<String> {
        list.into_iter().filter(|item| !other.contains(item)).collect()
    };
    Packages {
        remove: union(without(parent.remove, &child.install), child.remove.clone()),
        install: union(without(parent.install, &child.remove), child.install),
        hold: union(parent.hold, child.hold),
        group: union(parent.group, child.group),
    }
}

fn kernel(parent: Kernel, child: Kernel) -> Kernel {
    Kernel {
        modules: union(parent.modules, child.modules),
        blacklist: union(parent.blacklist, child.blacklist),
        command_line: union(parent.command_line, child.command_line),
    }
}

/// The parent's items, then the child's; one that both have stands where the child has it.
fn union<T: PartialEq>(parent: Vec<T>, child: Vec<T>) -> Vec<T> {
    let all: Vec<T> = parent.into_iter().chain(child).collect();
    let last = |n: usize| !all[n + 1..].contains(&all[n]);
    let keep: Vec<bool> = (0..all.len()).map(last).collect();
    all.into_iter().zip(keep).filter_map(|(item, keep)| keep.then_some(item)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn recipe(text: &str) -> Recipe {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_child_replaces_namesakes_in_place_and_adds_the_rest() {
        let parent = recipe(
            "[recipe]\nname = 'base'\n[base]\nos = 'debian:trixie'\n[packages]\ninstall = ['git']\n\
             [[unit]]\nname = 'ssh.service'\nstate = 'enabled'\n[host.efs]\nid = 'fs-1'\ncross_az = true",
        );
        let child = recipe(
            "[recipe]\nname = 'child'\n[packages]\ninstall = ['git', 'curl']\n\
             [[unit]]\nname = 'ssh.service'\nstate = 'masked'\n[host.efs]\nid = 'fs-2'",
        );
        let merged = child.on(parent);
        assert_eq!(merged.recipe.name, "child");
        assert_eq!(merged.base.unwrap().os, "debian:trixie");
        assert_eq!(merged.packages.install, ["git", "curl"]);
        assert_eq!(merged.unit.len(), 1);
        assert_eq!(merged.host["efs"]["id"].as_str(), Some("fs-2"));
        assert_eq!(merged.host["efs"]["cross_az"].as_bool(), Some(true));
    }

    #[test]
    fn two_variants_of_one_file_live_side_by_side_and_are_replaced_together() {
        let two = "[recipe]\nname = 'two'\n[[file]]\npath = '/z'\ncontent = 'a'\nwhen = { arch = 'amd64' }\n\
                   [[file]]\npath = '/z'\ncontent = 'b'\nwhen = { arch = 'arm64' }\n";
        let base = recipe("[recipe]\nname = 'base'\n[[file]]\npath = '/z'\ncontent = 'old'\n");
        let both = recipe(two).on(base.clone());
        let contents =
            |r: &Recipe| r.file.iter().map(|f| f.content.clone().unwrap()).collect::<Vec<_>>();
        assert_eq!(contents(&both), ["a", "b"]);
        assert_eq!(contents(&base.on(recipe(two))), ["old"]);
    }

    proptest::proptest! {
        #[test]
        fn merging_is_associative(a in names(), b in names(), c in names()) {
            let left = recipe_of(&c).on(recipe_of(&b)).on(recipe_of(&a));
            let right = recipe_of(&c).on(recipe_of(&b).on(recipe_of(&a)));
            proptest::prop_assert_eq!(left, right);
        }
    }

    fn names() -> impl proptest::strategy::Strategy<Value = Vec<(u8, u8)>> {
        proptest::collection::vec((0u8..6, 0u8..4), 0..6)
    }

    fn recipe_of(names: &[(u8, u8)]) -> Recipe {
        let list = |v: u8| {
            let names = names.iter().filter(|name| name.1 == v);
            names.map(|(n, _)| format!("'p{n}',")).collect::<String>()
        };
        let mut text = format!(
            "[recipe]\nname = 'x'\n[packages]\ninstall = [{}]\nremove = [{}]\nhold = [{}]\n\
             [kernel]\ncommand_line = [{}]\n",
            list(0),
            list(1),
            list(2),
            list(3)
        );
        let mut seen = BTreeSet::new();
        for (n, v) in names.iter().filter(|(n, _)| seen.insert(*n)) {
            text += &format!("[[link]]\npath = '/{n}'\nto = '{v}'\n[host.t{n}]\nk{v} = {v}\n");
        }
        recipe(&text)
    }
}
