//! The sections, each with what its types cannot say.

use super::words::{
    has_login, is_file, is_file_name, is_fingerprint, is_package, is_path, is_sha256, is_source,
    is_variable, is_wanted, is_word,
};
use super::{Checker, Pinned, entry};
use crate::host::{self, HostConfig};
use crate::recipe::problem::{Problem, Source, nearest, suggest};
use crate::recipe::tree::{Document, Key};
use crate::recipe::types::{Fetch, Recipe, RepositoryKey, TestKind};
use crate::recipe::vars::STAND_IN;

/// What there is in the place of a file's text.
type Content<'a> = [&'a Option<String>; 3];

impl Checker<'_, '_> {
    pub(super) fn repositories(&mut self, recipe: &Recipe) {
        for (n, repository) in recipe.repository.iter().enumerate() {
            if repository.key.is_empty() && !self.is_torn("repository", n) {
                let hint = "a repository is verified: name the keys that may sign it".to_owned();
                self.wrong(&entry("repository", n, "key"), "`key` is empty", Some(hint));
            }
            let at = |key: &str| entry("repository", n, key);
            self.source(&repository.uri, &at("uri"));
            if has_login(&repository.uri) {
                let hint = "everybody who has the image could read it: give an address without one";
                let message = "`uri` cannot have a login";
                self.wrong(&at("uri"), message, Some(hint.to_owned()));
            }
            let suite = &repository.suite;
            self.require(suite.is_empty() || is_word(suite), &at("suite"), suite, "one word");
            for (key, words) in
                [("components", &repository.components), ("packages", &repository.packages)]
            {
                for (w, word) in words.iter().enumerate() {
                    let path = [&at(key)[..], &[Key::Index(w)]].concat();
                    let message = format!("`{key}` cannot hold `{}`", word.escape_debug());
                    if !is_word(word) && !word.contains(STAND_IN) {
                        self.wrong(&path, message, Some("wanted are single words".to_owned()));
                    }
                }
            }
            for (k, key) in repository.key.iter().enumerate() {
                let mut path = entry("repository", n, "key").to_vec();
                path.push(Key::Index(k));
                self.key(key, &path);
            }
        }
    }

    /// Where packages come from, at `path`.
    pub(super) fn source(&mut self, address: &str, path: &[Key]) {
        let wanted = "an address with https:, http: or file:, without blanks";
        self.require(is_source(address), path, address, wanted);
    }

    /// A key that is pinned, at `path`.
    fn key(&mut self, key: &RepositoryKey, path: &[Key]) {
        let at = |name: &str| [path, &[Key::Name(name.to_owned())]].concat();
        self.address(&key.url, &at("url"));
        let print = &key.fingerprint;
        let wanted = "a whole fingerprint: 40 hexadecimal digits";
        self.require(is_fingerprint(print), &at("fingerprint"), print, wanted);
        if is_fingerprint(print) {
            let digits = print.chars().filter(|c| !c.is_whitespace());
            self.noted.pinned.push(Pinned {
                url: key.url.clone(),
                fingerprint: digits.map(|c| c.to_ascii_uppercase()).collect(),
                place: self.document.place(&at("url")),
            });
        }
    }

    /// What is fetched comes over https, or from this machine.
    fn address(&mut self, url: &str, path: &[Key]) {
        let safe = url.starts_with("https://") || url.starts_with("file:");
        self.require(safe, path, url, "an address with https: or file:");
    }

    pub(super) fn fetches(&mut self, recipe: &Recipe) {
        for (n, fetch) in recipe.fetch.iter().enumerate() {
            let at = |key: &str| entry("fetch", n, key);
            self.address(&fetch.url, &at("url"));
            if let Some(digest) = &fetch.sha256 {
                self.require(is_sha256(digest), &at("sha256"), digest, "64 hexadecimal digits");
            }
            if let Some(url) = &fetch.signature {
                self.address(url, &at("signature"));
            }
            if let Some(key) = &fetch.key {
                self.key(key, &at("key"));
            }
            if !self.is_torn("fetch", n) {
                self.proof(fetch, n);
            }
            if fetch.strip > 0 && !fetch.unpack {
                self.wrong(&at("strip"), "`strip` goes with `unpack = true`", None);
            }
            for (name, value) in &fetch.headers {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
                let right = !name.is_empty() && name.chars().all(plain);
                let path = [&at("headers")[..], &[Key::Name(name.clone())]].concat();
                self.require(right, &path, name, "the name of a header: letters, digits and `-`");
                let one_line = !value.contains(char::is_control);
                self.require(one_line, &path, value, "text of one line");
            }
        }
    }

    fn proof(&mut self, fetch: &Fetch, n: usize) {
        match (&fetch.sha256, &fetch.signature, &fetch.key) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => {}
            (None, Some(_), None) => {
                let hint = "a signature says nothing without the `key` that must have made it";
                let path = entry("fetch", n, "signature");
                self.wrong(&path, "`signature` needs its `key`", Some(hint.to_owned()));
            }
            _ => {
                let message =
                    "[[fetch]] needs exactly one of `sha256` and `signature` with its `key`";
                let hint = "what is fetched is verified, or it is not fetched".to_owned();
                self.wrong(&entry("fetch", n, "url"), message, Some(hint));
            }
        }
    }

    pub(super) fn contents(&mut self, recipe: &Recipe) {
        for (n, file) in recipe.file.iter().enumerate() {
            let at = [Key::Name("file".into()), Key::Index(n)];
            self.content([&file.content, &file.source, &file.template], &at, "[[file]]", "path");
        }
        for (n, unit) in recipe.unit.iter().enumerate() {
            let name = &unit.name;
            let full = is_file_name(name) && name.contains('.');
            let wanted = format!("the unit's full name, as `{name}.service`");
            self.require(full, &entry("unit", n, "name"), name, &wanted);
            if unit.state.is_none() && unit.drop_in.is_empty() && !self.is_torn("unit", n) {
                let hint = "give it a `state` or a `drop_in`".to_owned();
                self.wrong(&entry("unit", n, "name"), "this unit says nothing", Some(hint));
            }
            for (d, drop_in) in unit.drop_in.iter().enumerate() {
                let at = [&entry("unit", n, "drop_in")[..], &[Key::Index(d)]].concat();
                let path = [&at[..], &[Key::Name("name".into())]].concat();
                let right = is_file_name(&drop_in.name) && drop_in.name.ends_with(".conf");
                self.require(right, &path, &drop_in.name, "a name that ends in .conf");
                let given = [&drop_in.content, &drop_in.source, &drop_in.template];
                self.content(given, &at, "[[unit.drop_in]]", "name");
            }
        }
    }

    /// The text of a file: given, copied or rendered, and not two of these.
    fn content(&mut self, given: Content<'_>, at: &[Key], section: &str, name: &str) {
        let path = |key: &str| [at, &[Key::Name(key.to_owned())]].concat();
        let torn = self
            .document
            .get(at)
            .is_some_and(|node| self.document.torn.contains(&node.span().start));
        if torn {
            return;
        }
        if given.into_iter().flatten().count() != 1 {
            let message =
                format!("{section} needs exactly one of `content`, `source` and `template`");
            return self.wrong(&path(name), message, None);
        }
        if let Some(source) = given[1] {
            self.asset(source, &path("source"));
        }
        if let Some(template) = given[2]
            && let Some(source) = self.asset(template, &path("template"))
            && let Err(problems) = self.vars.render_file(&source)
        {
            self.problems.extend(problems);
        }
    }

    /// The text of a file that the recipe names.
    fn asset(&mut self, name: &str, path: &[Key]) -> Option<Source> {
        if name.contains(STAND_IN) {
            return None;
        }
        match self.assets.find(name) {
            Ok(Some(asset)) => {
                if let Ok(text) = String::from_utf8(asset.bytes) {
                    return Some(Source { name: asset.name, text });
                }
                self.wrong(path, format!("{name} is not UTF-8 text"), None);
            }
            Ok(None) => {
                let names = self.assets.files();
                let near = nearest(name, names.iter().map(String::as_str));
                let hint = near.map_or_else(
                    || "the path is relative to the project, or that of a shipped file".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.wrong(path, format!("there is no file `{name}`"), Some(hint));
            }
            Err(error) => self.wrong(path, format!("{name} cannot be read: {error}"), None),
        }
        None
    }

    pub(super) fn packages(&mut self, recipe: &Recipe) {
        let list = |key: &str| vec![Key::Name("packages".into()), Key::Name(key.into())];
        let packages = &recipe.packages;
        for (key, items) in
            [("install", &packages.install), ("remove", &packages.remove), ("hold", &packages.hold)]
        {
            self.package_list(key, items, &list(key));
        }
        for (n, group) in packages.group.iter().enumerate() {
            for (key, items) in
                [("install", &group.install), ("remove", &group.remove), ("hold", &group.hold)]
            {
                let path = [list("group"), vec![Key::Index(n), Key::Name(key.into())]].concat();
                self.package_list(key, items, &path);
            }
        }
    }

    fn package_list(&mut self, key: &str, packages: &[String], list: &[Key]) {
        let installs = key == "install";
        for (n, package) in packages.iter().enumerate() {
            if package.contains(STAND_IN) {
                continue;
            }
            let path = [list, &[Key::Index(n)]].concat();
            let hint = if installs {
                "a package is `name`, `name=version`, or the path of a file".to_owned()
            } else {
                "a package is here its name".to_owned()
            };
            let is_right = if installs { is_wanted(package) } else { is_package(package) };
            if installs && is_file(package) {
                if !self.assets.on_disk(package).is_file() {
                    self.wrong(&path, format!("there is no package file `{package}`"), Some(hint));
                }
            } else if !is_right {
                let message = format!("there is no package `{}`", package.escape_debug());
                self.wrong(&path, message, Some(hint));
            }
        }
    }

    pub(super) fn scripts(&mut self, recipe: &Recipe) {
        for (n, script) in recipe.script.iter().enumerate() {
            let at = |key: &str| entry("script", n, key);
            if script.run.is_some() == script.source.is_some() && !self.is_torn("script", n) {
                let message = "[[script]] needs exactly one of `run` and `source`";
                self.wrong(&at("name"), message, None);
            }
            for (key, name) in [("source", &script.source), ("input", &script.input)] {
                if let Some(name) = name {
                    self.asset(name, &at(key));
                }
            }
            for name in script.env.keys() {
                let path = [&at("env")[..], &[Key::Name(name.clone())]].concat();
                let wanted = "the name of a variable: letters, digits and `_`";
                self.require(is_variable(name), &path, name, wanted);
            }
            if let Some(path) = &script.creates {
                self.require(is_path(path), &at("creates"), path, "an absolute path");
            }
            if script.timeout == 0 {
                let message = "a script that is killed at once does nothing";
                self.wrong(&at("timeout"), message, None);
            }
        }
    }

    pub(super) fn tests(&mut self, recipe: &Recipe) {
        for (n, test) in recipe.test.iter().enumerate() {
            if self.is_torn("test", n) {
                continue;
            }
            let kind = match test.kind() {
                Ok((_, kind)) => kind,
                Err(fault) => {
                    self.wrong(&entry("test", n, "name"), fault.to_string(), None);
                    continue;
                }
            };
            let belongs: &[&str] = match kind {
                TestKind::File(path) => {
                    let at = entry("test", n, "file");
                    self.require(is_path(path), &at, path, "an absolute path without `.` and `..`");
                    &["mode", "owner", "contains"]
                }
                TestKind::Package(_) => &["version"],
                TestKind::Unit(_) => &["state"],
                TestKind::Command(_) => &["output"],
                TestKind::Port(_) => &[],
            };
            for key in ["mode", "owner", "contains", "version", "state", "output"] {
                let path = entry("test", n, key);
                if self.document.get(&path).is_some() && !belongs.contains(&key) {
                    let message = format!("`{key}` says nothing of what this test is about");
                    let hint = suggest("", belongs.iter().copied());
                    self.wrong(&path, message, hint);
                }
            }
        }
    }
}

/// What a host is told, which stands in `section` of a file.
pub(super) fn refused(
    document: &Document<'_>,
    section: &[Key],
    settings: &HostConfig,
    problems: &mut Vec<Problem>,
) {
    for refused in host::refused(settings) {
        let inside = refused.path.iter().map(|part| match part {
            host::Part::Name(name) => Key::Name(name.clone()),
            host::Part::Index(index) => Key::Index(*index),
        });
        let path: Vec<_> = section.iter().cloned().chain(inside).collect();
        // Text that comes out empty is left out of the image.
        let left_out = !section.is_empty() && refused.value.is_empty();
        if !left_out && !refused.value.contains(STAND_IN) {
            let problem = Problem::error(refused.message()).at(document.place(&path));
            problems.push(problem.hint(refused.hint));
        }
    }
}
