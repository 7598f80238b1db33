//! Whether a plan that was read from a file may be applied: it must hold what planning would make.
//!
//! Recipes are checked when they are read, where they can be shown. A plan comes from anywhere.

use super::Plan;
use crate::error::Fault;
use crate::recipe::{is_package, is_source, is_wanted, is_word};
use crate::step::Step;
use crate::step::repository::Kind;

impl Plan {
    /// Itself, if no text of it could be taken for more than it is: an option of a package
    /// manager, or a further line of its settings.
    ///
    /// # Errors
    /// The first that could.
    pub fn sound(self) -> Result<Self, Fault> {
        for planned in &self.steps {
            if let Some(text) = stranger(&planned.step) {
                let what =
                    format!("the plan's `{}` cannot have `{}`", planned.id, text.escape_debug());
                return Err(Fault::recipe(what).hint("plan again with `hostkit plan`"));
            }
        }
        Ok(self)
    }
}

/// What may not stand where it stands.
fn stranger(step: &Step) -> Option<&str> {
    let not = |is: fn(&str) -> bool| move |text: &&String| !is(text);
    let found = match step {
        Step::Repository(repository) => {
            let words: Vec<&String> = match &repository.kind {
                Kind::Apt { suite, components } => {
                    std::iter::once(suite).chain(components).collect()
                }
                Kind::Dnf {} => Vec::new(),
            };
            let is_name = |name: &str| is_word(name) && !name.contains('/');
            let mut words = words.into_iter().chain(&repository.packages);
            Some(&repository.uri)
                .filter(not(is_source))
                .or_else(|| Some(&repository.name).filter(not(is_name)))
                .or_else(|| words.find(not(is_word)))
        }
        Step::Packages(packages) => {
            let names = packages.remove.iter().chain(&packages.hold);
            let wanted = packages.install.iter().find(not(is_wanted));
            wanted.or_else(|| names.into_iter().find(not(is_package)))
        }
        _ => None,
    };
    found.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Family;
    use crate::step::packages::Packages;
    use crate::step::repository::Repository;

    #[test]
    fn no_text_of_a_plan_is_an_option_or_a_line_of_its_own() {
        let repository = |uri: &str, suite: &str, component: &str, package: &str| {
            Step::Repository(Repository {
                name: "acme".into(),
                uri: uri.into(),
                kind: Kind::Apt { suite: suite.into(), components: vec![component.into()] },
                packages: vec![package.into()],
                keys: vec![],
            })
        };
        let packages = |install: &str, remove: &str| {
            let (install, remove) = (vec![install.to_owned()], vec![remove.to_owned()]);
            let (hold, files) = (vec![], vec![]);
            Step::Packages(Packages { family: Family::Debian, install, remove, hold, files })
        };
        for good in [repository("https://x/", "s/", "main", "a*"), packages("a=1", "b")] {
            assert_eq!(stranger(&good), None);
        }
        for (bad, text) in [
            (repository("https://x/\nTrusted: yes", "s", "c", "p"), "https://x/\nTrusted: yes"),
            (repository("ftp://x/", "s", "c", "p"), "ftp://x/"),
            (repository("https://x/", "s\nTrusted: yes", "c", "p"), "s\nTrusted: yes"),
            (repository("https://x/", "s", "c d", "p"), "c d"),
            (repository("https://x/", "s", "c", "p\n"), "p\n"),
            (packages("--allow-unauthenticated", "b"), "--allow-unauthenticated"),
            (packages("a", "b-"), "b-"),
        ] {
            assert_eq!(stranger(&bad), Some(text));
        }
    }
}
