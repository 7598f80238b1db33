//! Reads the imports of a Rust source file, well enough for the layering test: every path that
//! starts at `crate` or climbs by `super`, in a `use` or in the middle of code, groups included.
//! It knows comments, strings and inline modules, and nothing of macros or conditions.

/// One path into the crate: its segments from the crate's root, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
}

/// A word or a punctuation mark, and its line.
type Token = (usize, String);

/// The imports of a file that is the module `module` (empty for the crate's root).
pub(crate) fn imports(source: &str, module: &[String]) -> Vec<Import> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    let mut inline = Vec::new(); // inline modules around this place: name, depth of their brace
    let mut depth = 0_usize;
    for (at, (line, word)) in tokens.iter().enumerate() {
        let next = |ahead: usize| tokens.get(at + ahead).map_or("", |(_, word)| word.as_str());
        match word.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.pop_if(|(_, brace)| *brace == depth);
            }
            "mod" if next(2) == "{" => inline.push((next(1).to_owned(), depth)),
            "crate" | "super" if next(1) == "::" && (at == 0 || tokens[at - 1].1 != "::") => {
                let here = module.iter().chain(inline.iter().map(|(name, _)| name));
                let start = if word == "crate" { Vec::new() } else { parent(here.cloned()) };
                tree(&tokens[at + 2..], &start, *line, &mut found);
            }
            _ => {}
        }
    }
    found
}

fn parent(module: impl Iterator<Item = String>) -> Vec<String> {
    let mut module: Vec<_> = module.collect();
    module.pop();
    module
}

/// Follows one use-tree from behind a `::`; gives the number of tokens that it took.
fn tree(tokens: &[Token], start: &[String], first: usize, found: &mut Vec<Import>) -> usize {
    let mut path = start.to_vec();
    let mut line = first;
    let mut at = 0;
    while let Some((here, word)) = tokens.get(at) {
        if word == "{" {
            return at + group(&tokens[at..], &path, *here, found);
        }
        if word == "super" {
            path.pop();
        } else if word == "*" || word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            line = *here;
            path.push(word.clone());
        } else {
            break;
        }
        at += 1;
        if tokens.get(at).is_none_or(|(_, word)| word != "::") {
            break;
        }
        at += 1;
    }
    found.push(Import { line, path });
    at
}

/// Follows `{a, b::c, d as e}`.
fn group(tokens: &[Token], path: &[String], line: usize, found: &mut Vec<Import>) -> usize {
    let mut at = 1;
    while let Some((_, word)) = tokens.get(at) {
        match word.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            "as" => at += 2,
            _ => at += tree(&tokens[at..], path, line, found).max(1),
        }
    }
    at
}

/// Words and marks without comments, strings and characters. `::` is one mark.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let taken = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r' | 'b', ..] if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            ['"', ..] => quoted(rest, '"'),
            // A character; else the quote belongs to a lifetime.
            ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(rest, '\''),
            [':', ':', ..] => 2,
            [c, ..] if is_word(*c) => rest.iter().position(|c| !is_word(*c)).unwrap_or(rest.len()),
            _ => 1,
        };
        let text: String = rest[..taken].iter().collect();
        let is_token = !text.starts_with(['/', '"', '\'', '#']) && !text.trim().is_empty();
        if is_token && !text.contains('"') {
            tokens.push((line, text.clone()));
        }
        line += text.matches('\n').count();
        at += taken;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(chars: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` at the start, if one is there.
fn raw_string(chars: &[char]) -> Option<usize> {
    let prefix = match chars {
        ['b', 'r', ..] => 2,
        ['r', ..] => 1,
        _ => return None,
    };
    let hashes = chars[prefix..].iter().take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    (chars.get(open) == Some(&'"')).then_some(())?;
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &chars[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close)?;
    Some(open + 1 + end + close.len())
}

#[cfg(test)]
mod tests {
    use super::imports;

    fn paths(source: &str, module: &[&str]) -> Vec<String> {
        let module: Vec<_> = module.iter().map(ToString::to_string).collect();
        let found = imports(source, &module);
        found.iter().map(|i| format!("{} {}", i.line, i.path.join("::"))).collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        let source = "use crate::{\n    error::Fault,\n    sys::{Cmd, Tool as T},\n    ui,\n};";
        let expected = ["2 error::Fault", "3 sys::Cmd", "3 sys::Tool", "4 ui"];
        assert_eq!(paths(source, &["boot"]), expected);
    }

    #[test]
    fn super_is_followed_out_of_files_and_inline_modules() {
        let source = "use super::graph;\nmod tests {\n    use super::*;\n    use super::super::x;\n}\nuse super::super::aws::imds;";
        let expected = ["1 boot::graph", "3 boot::run::*", "4 boot::x", "6 aws::imds"];
        assert_eq!(paths(source, &["boot", "run"]), expected);
    }

    #[test]
    fn paths_in_the_middle_of_code_count() {
        assert_eq!(paths("fn f<'a>() { crate::ui::fail('\"') }", &["sys"]), ["1 ui::fail"]);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let source = "//! See [`crate::ui`].\n/* crate::a /* crate::b */ crate::c */\nlet x = (\"crate::d\", r#\"crate::\"e\"#, b\"crate::f\");\nuse crate::g;";
        assert_eq!(paths(source, &["sys"]), ["4 g"]);
    }
}
