//! What the types of a recipe cannot say: names and paths end up in file names on two machines.

use super::types::Recipe;
use crate::error::Fault;

impl Recipe {
    /// Checks a recipe whose strings have been rendered.
    ///
    /// # Errors
    /// The first thing that cannot be right.
    pub fn check(&self) -> Result<(), Fault> {
        let name = &self.recipe.name;
        require(is_name(name), "[recipe] name", name, "small letters, digits and `-`")?;
        for repository in &self.repository {
            let name = &repository.name;
            require(is_name(name), "[[repository]] name", name, "small letters, digits and `-`")?;
        }
        let paths = (self.directory.iter().map(|d| ("[[directory]]", &d.path)))
            .chain(self.file.iter().map(|f| ("[[file]]", &f.path)))
            .chain(self.link.iter().map(|l| ("[[link]]", &l.path)))
            .chain(self.fetch.iter().map(|f| ("[[fetch]]", &f.path)));
        for (section, path) in paths {
            require(is_path(path), &format!("{section} path"), path, "an absolute path")?;
        }
        for digest in self.fetch.iter().filter_map(|fetch| fetch.sha256.as_ref()) {
            require(is_sha256(digest), "[[fetch]] sha256", digest, "64 hexadecimal digits")?;
        }
        Ok(())
    }
}

fn require(right: bool, what: &str, value: &str, wanted: &str) -> Result<(), Fault> {
    if right {
        return Ok(());
    }
    Err(Fault::recipe(format!("{what} cannot be `{value}`")).hint(format!("wanted is {wanted}")))
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
}

fn is_path(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_sha256(digest: &str) -> bool {
    digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_that_lead_elsewhere_are_refused() {
        let recipe = |text: &str| toml::from_str::<Recipe>(text).unwrap().check();
        assert!(recipe("[recipe]\nname = 'jenkins-controller'").is_ok());
        for wrong in [
            "[recipe]\nname = '../../x'",
            "[recipe]\nname = ''",
            "[recipe]\nname = 'x'\n[[link]]\npath = 'etc/x'\nto = 'y'",
            "[recipe]\nname = 'x'\n[[link]]\npath = '/etc/../x'\nto = 'y'",
            "[recipe]\nname = 'x'\n[[fetch]]\nurl = 'u'\npath = '/x'\nsha256 = 'zz'",
            "[recipe]\nname = 'x'\n[[repository]]\nname = 'a.b'\nuri = 'u'\nsuite = 's'\nkey = []",
        ] {
            assert_eq!(recipe(wrong).unwrap_err().blame().exit_code(), 3, "{wrong}");
        }
    }
}
