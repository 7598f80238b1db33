//! What is wrong with a recipe, and exactly where. It never says what to do with that.

use std::fmt;
use std::ops::Range;

use crate::error::Fault;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What to call it in messages.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Part of a file, to point at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The whole line, if it may be shown.
    text: Option<String>,
    /// How many characters of it are meant.
    width: usize,
}

impl Source {
    /// The place of these bytes.
    pub fn place(&self, span: &Range<usize>) -> Place {
        let start = self.floor(span.start);
        let end = self.floor(span.end.max(start));
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        let shown = &self.text[start..end.min(line_end).max(start)];
        Place {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            text: Some(self.text[line_start..line_end].trim_end_matches('\r').to_owned()),
            width: shown.trim_end().chars().count().max(1),
        }
    }

    /// The nearest boundary of characters at or before `at`.
    fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

impl Place {
    /// Itself without its line: a secret may stand there.
    #[must_use]
    pub fn unseen(self) -> Self {
        Self { text: None, ..self }
    }

    /// The line with its number, and marks below what is meant; nothing if it may not be shown.
    pub fn excerpt(&self) -> Option<String> {
        let text = self.text.as_ref()?;
        let gutter = " ".repeat(self.line.to_string().len());
        // Tabs stay tabs, so that the marks stand where the eye looks for them.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let indent: String = text.chars().take(self.column - 1).map(blank).collect();
        let marks = "^".repeat(self.width);
        Some(format!("{gutter} |\n{} | {text}\n{gutter} | {indent}{marks}", self.line))
    }
}

/// `file:line:column`, as editors and terminals can jump to.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing can be baked from this.
    Error,
    /// It can, and yet.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where, if it is in a file.
    pub place: Option<Place>,
    /// What to do about it, if anything is known to help.
    pub hint: Option<String>,
}

impl Problem {
    /// An error.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), place: None, hint: None }
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// Adds the line that tells what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// As the error of a command that needs a recipe without errors; `more` others are not shown.
    pub fn into_fault(self, more: usize) -> anyhow::Error {
        let mut hints: Vec<String> = self.hint.into_iter().collect();
        if more > 0 {
            hints.push(format!("there is more that is wrong ({more}): `hostkit check` shows all"));
        }
        let fault = Fault::recipe(self.message);
        let fault = if hints.is_empty() { fault } else { fault.hint(hints.join("\n")) };
        match self.place {
            None => fault.into(),
            Some(place) => anyhow::Error::new(Located(place)).context(fault),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::error(fault.to_string()).hint(fault.hint_text().map(str::to_owned))
    }
}

/// A place as the cause of an error.
#[derive(Debug)]
struct Located(Place);

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column, .. } = &self.0;
        write!(f, "{file}, line {line}, column {column}")?;
        self.0.excerpt().map_or(Ok(()), |excerpt| write!(f, "\n{excerpt}"))
    }
}

impl std::error::Error for Located {}

/// The candidate that is one or two slips of the finger away from `word`.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored =
        candidates.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    scored.filter(|(d, c)| *d <= 2 && *d < c.len()).min().map(|(_, candidate)| candidate)
}

/// A hint for a `word` that is none of `candidates`: the nearest, else all of them.
pub fn suggest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<_> = candidates.collect();
    (!all.is_empty()).then(|| format!("there are: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_and_shown_with_its_line() {
        let source = Source { name: "x.toml".into(), text: "a = 1\n\tß = [ü]\r\n".into() };
        let at = source.text.find('ü').unwrap();
        let place = source.place(&(at..at + 2));
        assert_eq!(place.to_string(), "x.toml:2:7");
        let excerpt = "  |\n2 | \tß = [ü]\n  | \t     ^".to_owned();
        assert_eq!(place.excerpt(), Some(excerpt));
        assert_eq!(place.unseen().excerpt(), None);
        assert_eq!(source.place(&(999..2000)).line, 3);
        assert_eq!(source.place(&(at + 1..at + 1)).column, 7, "in the middle of a character");
    }
}
