//! Groups and users: what would break the lines of `/etc/passwd` and `/etc/group`.

use super::words::{is_account, is_member, is_path};
use super::{Checker, entry};
use crate::recipe::tree::Key;
use crate::recipe::types::{Group, Recipe, User, When};

/// A number that an account takes.
struct Number<'r> {
    kind: &'static str,
    name: &'r str,
    id: u32,
    when: &'r When,
    path: [Key; 3],
}

impl Checker<'_, '_> {
    pub(super) fn accounts(&mut self, recipe: &Recipe) {
        let names = (recipe.group.iter().map(|g| &g.name).enumerate())
            .map(|(n, name)| ("group", n, name))
            .chain(recipe.user.iter().enumerate().map(|(n, u)| ("user", n, &u.name)));
        for (section, n, name) in names {
            let wanted = "small letters, digits, `_` and `-`, beginning with a letter";
            self.require(is_account(name), &entry(section, n, "name"), name, wanted);
        }
        for (n, user) in recipe.user.iter().enumerate() {
            self.user(n, user);
        }
        self.numbers(recipe);
        self.owners(recipe);
    }

    fn user(&mut self, n: usize, user: &User) {
        for (key, path) in [("home", &user.home), ("shell", &user.shell)] {
            if let Some(path) = path {
                let right = is_path(path) && !path.contains(':');
                let wanted = "an absolute path without `.`, `..` and `:`";
                self.require(right, &entry("user", n, key), path, wanted);
            }
        }
        for (g, group) in user.groups.iter().enumerate() {
            let path = [&entry("user", n, "groups")[..], &[Key::Index(g)]].concat();
            self.member(group, &path);
        }
    }

    /// The name of an account that the recipe does not make.
    fn member(&mut self, name: &str, path: &[Key]) {
        if !is_member(name) && !name.contains(crate::recipe::vars::STAND_IN) {
            let message = format!("no account can be called `{}`", name.escape_debug());
            self.wrong(path, message, None);
        }
    }

    /// Files know their owners by number only.
    fn numbers(&mut self, recipe: &Recipe) {
        let mut numbers = Vec::new();
        for (n, Group { name, gid, when }) in recipe.group.iter().enumerate() {
            let path = entry("group", n, "gid");
            numbers.push(Number { kind: "group", name, id: *gid, when, path });
        }
        for (n, User { name, uid, gid, when, .. }) in recipe.user.iter().enumerate() {
            let path = entry("user", n, "uid");
            let of_group = if gid.is_some() { entry("user", n, "gid") } else { path.clone() };
            let id = gid.unwrap_or(*uid);
            numbers.push(Number { kind: "user", name, id: *uid, when, path });
            // Without a number of its own, the group's is that of the user, which has been told.
            if gid.is_some() || id != 0 {
                numbers.push(Number { kind: "group", name, id, when, path: of_group });
            }
        }
        for (n, number) in numbers.iter().enumerate() {
            let Number { kind, name, id, when, path } = number;
            if *id == 0 && *name != "root" {
                self.wrong(path, format!("0 is the number of the {kind} `root`"), None);
                continue;
            }
            let same =
                |other: &&Number<'_>| other.kind == *kind && other.id == *id && other.name != *name;
            let other = numbers[..n].iter().filter(same).find(|other| other.when.meets(when));
            if let Some(other) = other {
                let message = format!("the {kind} `{}` has the number {id}, too", other.name);
                let hint = "two of one number are the same to every file".to_owned();
                self.wrong(path, message, Some(hint));
            }
        }
    }

    fn owners(&mut self, recipe: &Recipe) {
        let owners = (recipe.directory.iter().map(|d| (&d.owner, &d.group)).enumerate())
            .map(|(n, names)| ("directory", n, names))
            .chain(recipe.file.iter().enumerate().map(|(n, f)| ("file", n, (&f.owner, &f.group))))
            .chain(
                recipe.fetch.iter().enumerate().map(|(n, f)| ("fetch", n, (&f.owner, &f.group))),
            );
        for (section, n, (owner, group)) in owners {
            self.member(owner, &entry(section, n, "owner"));
            self.member(group, &entry(section, n, "group"));
        }
    }
}
