//! `[sysctl]` and `[kernel]`: what would be more than one line or one word where it is written.

use super::words::{is_kernel_word, is_module};
use super::{Checker, table};
use crate::recipe::tree::Key;
use crate::recipe::types::Recipe;
use crate::recipe::vars::STAND_IN;

/// Whether an item of a list is right.
type Right = fn(&str) -> bool;

impl Checker<'_, '_> {
    pub(super) fn kernel(&mut self, recipe: &Recipe) {
        for (name, value) in &recipe.sysctl {
            let path = table("sysctl", name);
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                let message = format!("there is no kernel setting `{}`", name.escape_debug());
                let hint = "as `\"net.ipv4.ip_forward\" = 1`; a name with dots stands in quotes";
                self.wrong(&path, message, Some(hint.to_owned()));
            }
            let one_line = !value.0.contains(char::is_control);
            self.require(one_line, &path, &value.0, "a number, or text of one line");
        }
        let kernel = &recipe.kernel;
        let (module, word): (Right, Right) = (is_module, is_kernel_word);
        let lists = [
            ("modules", &kernel.modules, module, "a module is letters, digits, `_` and `-`"),
            ("blacklist", &kernel.blacklist, module, "a module is letters, digits, `_` and `-`"),
            ("command_line", &kernel.command_line, word, "each word is an item, without quotes"),
        ];
        for (key, items, is_right, hint) in lists {
            for (n, item) in items.iter().enumerate() {
                if !is_right(item) && !item.contains(STAND_IN) {
                    let path = [&table("kernel", key)[..], &[Key::Index(n)]].concat();
                    let message = format!("`{key}` cannot hold `{}`", item.escape_debug());
                    self.wrong(&path, message, Some(hint.to_owned()));
                }
            }
        }
    }
}
